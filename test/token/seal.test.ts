/**
 * Authenticated encryption: what was altered, moved or made elsewhere does not open, whatever it looks like.
 */
import { assert, describe, it } from "@effect/vitest"
import { Redacted, Schema } from "effect"
import * as V8 from "node:v8"
import * as VM from "node:vm"
import * as KeyRing from "../../src/internal/token/keyRing.ts"
import * as Protection from "../../src/internal/token/protection.ts"
import * as Seal from "../../src/internal/token/seal.ts"
import { bitFlips, extensions, otherSpellings, textFlips, truncations } from "../support/alterations.ts"
import { AnyText } from "../support/arbitraries.ts"

const secrets = ["first", "second", "third", "fourth"].map((name) => `${name} secret of at least thirty-two characters`)

/** The key ring of a configuration with these secrets. */
const ring = (numbers: ReadonlyArray<number>, purpose: KeyRing.Purpose = "seal-session"): KeyRing.KeyRing =>
  KeyRing.make(numbers.map((number) => Redacted.make(secrets[number]!)), purpose)!

V8.setFlagsFromString("--expose-gc")
const collectGarbage = VM.runInNewContext("gc") as () => void

const seal = Seal.make(ring([0]), "session sid")
const id = "A".repeat(43)

describe("a seal", () => {
  it.prop("opens to what was sealed, whatever that is", [AnyText], ([plaintext]) => {
    // Texts are UTF-8 inside, and a half of a surrogate pair is no character.
    assert.deepStrictEqual(seal.open(seal.seal(plaintext.toWellFormed())), {
      plaintext: plaintext.toWellFormed(),
      outdated: false
    })
  })

  it("opens to what was sealed, also of parts, and if it is longer than all before, or shorter again", () => {
    for (const length of [0, 1, 1_000, 10_000, 100_000, 2, 50_000]) {
      const plaintext = "aä€😀".repeat(length)
      const sealed = [seal.seal(plaintext), seal.seal("", plaintext.slice(0, 1), plaintext.slice(1))]
      for (const one of sealed) assert.deepStrictEqual(seal.open(one), { plaintext, outdated: false })
    }
  })

  it("holds on to nothing of a text that is too large for a cookie", async () => {
    const held = () => process.memoryUsage().arrayBuffers
    collectGarbage()
    const before = held()
    seal.seal("x".repeat(10_000_000))
    // What a buffer had outside of the heap goes a little after the buffer itself.
    for (let tries = 0; tries < 50 && held() - before >= 1_000_000; tries++) {
      await new Promise(setImmediate)
      collectGarbage()
    }
    assert.isBelow(held() - before, 1_000_000)
  })

  it.prop("is base64url, and as long as the text and 33 bytes", [AnyText], ([plaintext]) => {
    const sealed = seal.seal(plaintext)
    assert.match(sealed, /^[A-Za-z0-9_-]+$/)
    assert.lengthOf(Buffer.from(sealed, "base64url"), Buffer.byteLength(plaintext) + 33)
  })

  it.prop(
    "V9.1.1, V9.1.2 with any of its bits flipped does not open, and does not throw",
    [Schema.String],
    ([plaintext]) => {
      const sealed = seal.seal(plaintext)
      for (const altered of [...bitFlips(sealed), ...textFlips(sealed)]) {
        assert.isUndefined(seal.open(altered), altered)
      }
    }
  )

  it.prop("V9.1.1 cut short or made longer does not open", [AnyText], ([plaintext]) => {
    const sealed = seal.seal(plaintext)
    for (const altered of [...truncations(sealed), ...extensions(sealed)]) {
      assert.isUndefined(seal.open(altered), altered)
    }
  })

  it.prop("V9.1.1 opens in its one spelling only", [AnyText], ([plaintext]) => {
    const sealed = seal.seal(plaintext)
    const spellings = otherSpellings(sealed)
    for (const spelling of spellings) {
      assert.deepEqual(Buffer.from(spelling, "base64"), Buffer.from(sealed, "base64url"))
      assert.isUndefined(seal.open(spelling), spelling)
    }
  })

  it.prop("V9.1.1 is nothing that anybody may think of", [AnyText], ([text]) => {
    assert.isUndefined(seal.open(text))
    assert.isUndefined(seal.open(Buffer.from(text).toString("base64url")))
    assert.isUndefined(seal.open(seal.seal("").slice(0, 7) + Buffer.from(text).toString("base64url")))
  })

  it("V9.1.2 names no algorithm: of all versions only the one that there is opens", () => {
    const bytes = Buffer.from(seal.seal("text"), "base64url")
    const opened = Array.from({ length: 256 }, (_, version) => {
      bytes[0] = version
      return seal.open(bytes.toString("base64url"))
    })
    assert.deepStrictEqual(opened.flatMap((one, version) => one === undefined ? [] : [version]), [1])
  })

  it("V9.1.1 does not swap parts with another one of the same key", () => {
    const [one, other] = ["text one", "text two"].map((text) => Buffer.from(seal.seal(text), "base64url"))
    for (let cut = 1; cut < one!.length; cut++) {
      const mixed = Buffer.concat([one!.subarray(0, cut), other!.subarray(cut)])
      // The first five bytes name the version and the key, and are the same in both.
      if (cut > 5) assert.isUndefined(seal.open(mixed.toString("base64url")), `cut at ${cut}`)
    }
  })

  it("V9.2.2 does not open under another cookie's name, or for another purpose", () => {
    const sealed = seal.seal("text")
    for (const context of ["session sid2", "session si", "session SID", "session ", "", "id sid", "sessionsid"]) {
      assert.isUndefined(Seal.make(ring([0]), context).open(sealed), context)
    }
    assert.isUndefined(Seal.make(ring([0], "seal-id"), "session sid").open(sealed))
    assert.isUndefined(Seal.make(ring([0], "sign-id"), "session sid").open(sealed))
  })

  it("does not open with another secret, not even under the right key's name", () => {
    const other = Seal.make(ring([1]), "session sid")
    const forged = Buffer.from(other.seal("text"), "base64url")
    assert.isUndefined(seal.open(forged.toString("base64url")))
    Buffer.from(seal.seal(""), "base64url").copy(forged, 0, 0, 5)
    assert.isUndefined(seal.open(forged.toString("base64url")))
  })

  it("opens with the key that fits where two keys have the same name", () => {
    const [one, other] = [ring([0])[0], ring([1])[0]]
    const namesake = { ...other, id: one.id }
    const sealed = Seal.make([namesake], "context").seal("text")
    assert.deepStrictEqual(Seal.make([one, namesake], "context").open(sealed), { plaintext: "text", outdated: true })
  })

  it("V11.3.x of the same text is different each time, and no nonce comes twice in 100,000", () => {
    const nonces = new Set<string>()
    const ciphertexts = new Set<string>()
    for (let count = 0; count < 100_000; count++) {
      const bytes = Buffer.from(seal.seal("the same text"), "base64url")
      nonces.add(bytes.toString("hex", 5, 17))
      ciphertexts.add(bytes.toString("hex", 17))
    }
    assert.deepStrictEqual([nonces.size, ciphertexts.size], [100_000, 100_000])
  })
})

describe("a key ring", () => {
  it("V11.2.2 over three rotations: the newest secret writes, all of them read, what is old is outdated", () => {
    const generations = [[0], [1, 0], [2, 1, 0], [3, 2, 1]]
    const written = generations.map((numbers) => Seal.make(ring(numbers), "context").seal("text"))
    const read = generations.map((numbers) => written.map((sealed) => Seal.make(ring(numbers), "context").open(sealed)))

    const [none, old, newest] = [undefined, { plaintext: "text", outdated: true }, {
      plaintext: "text",
      outdated: false
    }]
    assert.deepStrictEqual(read, [
      [newest, none, none, none],
      [old, newest, none, none],
      [old, old, newest, none],
      [none, old, old, newest]
    ])
  })

  for (const kind of ["signed", "encrypted"] as const) {
    it(`V11.2.2 the same with ${kind} ids`, () => {
      const protection = (numbers: ReadonlyArray<number>) =>
        kind === "signed"
          ? Protection.signed(ring(numbers, "sign-id"), "sid")
          : Protection.encrypted(ring(numbers, "seal-id"), "sid")
      const generations = [[0], [1, 0], [2, 1, 0], [3, 2, 1]]
      const written = generations.map((numbers) => protection(numbers).protect(id))
      const read = generations.map((numbers) => written.map((token) => protection(numbers).open(token)))

      const none = { _tag: "Rejected", reason: "tampered" } as const
      const [old, newest] = [true, false].map((outdated) => ({ _tag: "Opened", id, outdated } as const))
      assert.deepStrictEqual(read, [
        [newest!, none, none, none],
        [old!, newest!, none, none],
        [old!, old!, newest!, none],
        [none, old!, old!, newest!]
      ])
    })
  }

  it("V11.3.x has another key and another name for each purpose and each secret", () => {
    const keys = ([0, 1] as const).flatMap((number) =>
      (["sign-id", "seal-id", "seal-session"] as const).map((purpose) => ring([number], purpose)[0])
    )
    assert.strictEqual(new Set(keys.map(({ key }) => key.export().toString("hex"))).size, 6)
    assert.strictEqual(new Set(keys.map(({ id }) => id.toString("hex"))).size, 6)
    for (const { id, key } of keys) {
      assert.strictEqual(key.symmetricKeySize, 32)
      assert.notInclude(key.export().toString("hex"), id.toString("hex"))
    }
  })

  it("is none where there is no secret", () => {
    assert.isUndefined(KeyRing.make([], "seal-id"))
  })
})

describe("a protected id", () => {
  const protections = {
    signed: Protection.signed(ring([0], "sign-id"), "sid"),
    encrypted: Protection.encrypted(ring([0], "seal-id"), "sid")
  }
  const otherName = {
    signed: Protection.signed(ring([0], "sign-id"), "sid2"),
    encrypted: Protection.encrypted(ring([0], "seal-id"), "sid2")
  }
  const otherSecret = {
    signed: Protection.signed(ring([1], "sign-id"), "sid"),
    encrypted: Protection.encrypted(ring([1], "seal-id"), "sid")
  }

  /** Ids of every length that there may be. */
  const Id = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_-]{22,128}$/))

  for (const kind of ["signed", "encrypted"] as const) {
    const { open, protect } = protections[kind]

    it.prop(`${kind}: opens to the id`, [Id], ([id]) => {
      assert.deepStrictEqual(open(protect(id)), { _tag: "Opened", id, outdated: false })
    })

    /** What is done to the part of the token that is not the id as it is. */
    const altered = (token: string, alter: (part: string) => ReadonlyArray<string>): ReadonlyArray<string> => {
      const [id, signature] = token.split(".")
      return signature === undefined ? alter(token) : alter(signature).map((altered) => `${id}.${altered}`)
    }

    it.prop(`V9.1.1, V9.1.2 ${kind}: with any bit flipped is rejected, and nothing throws`, [Id], ([id]) => {
      const token = protect(id)
      for (const flipped of [...textFlips(token), ...altered(token, bitFlips)]) {
        assert.strictEqual(open(flipped)._tag, "Rejected", flipped)
      }
    })

    it.prop(`${kind}: cut short, made longer or spelled otherwise is rejected`, [Id], ([id]) => {
      const token = protect(id)
      for (const other of [...truncations(token), ...extensions(token), ...altered(token, otherSpellings)]) {
        assert.strictEqual(open(other)._tag, "Rejected", other)
      }
    })

    it.prop(`${kind}: whatever a client may send is rejected, and nothing throws`, [AnyText], ([text]) => {
      for (const token of [text, `${id}.${text}`, `${text}.${id}`, text.repeat(100)]) {
        assert.strictEqual(open(token)._tag, "Rejected")
      }
    })

    it(`V9.2.2 ${kind}: is rejected under another cookie's name, and with another secret`, () => {
      assert.deepStrictEqual(otherName[kind].open(protect(id)), { _tag: "Rejected", reason: "tampered" })
      assert.deepStrictEqual(otherSecret[kind].open(protect(id)), { _tag: "Rejected", reason: "tampered" })
    })
  }

  it("signed: the signature of one id is none for another", () => {
    const { open, protect } = protections.signed
    const signature = protect(id).split(".")[1]
    assert.deepStrictEqual(open(`${"B".repeat(43)}.${signature}`), { _tag: "Rejected", reason: "tampered" })
  })

  it("encrypted: shows nothing of the id, and is different each time", () => {
    const { protect } = protections.encrypted
    const tokens = Array.from({ length: 1_000 }, () => protect(id))
    assert.strictEqual(new Set(tokens).size, 1_000)
    for (const token of tokens) assert.notInclude(Buffer.from(token, "base64url").toString("latin1"), id)
  })

  it("a token of one kind is none of another kind", () => {
    const { encrypted, signed } = protections
    assert.strictEqual(signed.open(encrypted.protect(id))._tag, "Rejected")
    assert.strictEqual(encrypted.open(signed.protect(id))._tag, "Rejected")
    assert.strictEqual(signed.open(id)._tag, "Rejected")
    assert.strictEqual(encrypted.open(id)._tag, "Rejected")
    assert.strictEqual(Protection.none.open(signed.protect(id))._tag, "Rejected")
  })

  it.prop("none: anything of the shape of an id, and nothing else", [AnyText], ([text]) => {
    assert.strictEqual(Protection.none.open(text)._tag, /^[\w-]{22,128}$/.test(text) ? "Opened" : "Rejected")
    assert.deepStrictEqual(Protection.none.open(Protection.none.protect(id)), { _tag: "Opened", id, outdated: false })
  })
})
