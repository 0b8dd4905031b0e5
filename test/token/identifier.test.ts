/**
 * Session ids, and the random bytes that they are made of.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { SessionConfig } from "effect-session"
import Crypto from "node:crypto"
import { syncBuiltinESMExports } from "node:module"
import * as Identifier from "../../src/internal/token/identifier.ts"
import { AnyText, intBetween } from "../support/arbitraries.ts"

/** Runs `f` and counts the bytes that the operating system's generator is asked for meanwhile. */
const countingBytes = <A>(f: () => A): { readonly result: A; readonly bytes: number } => {
  const { randomFillSync } = Crypto
  let bytes = 0
  Crypto.randomFillSync = ((buffer: NodeJS.ArrayBufferView, ...rest: []) => {
    bytes += buffer.byteLength
    return randomFillSync(buffer, ...rest)
  }) as typeof randomFillSync
  syncBuiltinESMExports()
  try {
    return { result: f(), bytes }
  } finally {
    Crypto.randomFillSync = randomFillSync
    syncBuiltinESMExports()
  }
}

describe("an id", () => {
  it("V7.2.3, V11.5.1 holds 256 bits of the operating system's generator, and 10,000 of them are all different", () => {
    const { bytes, result: ids } = countingBytes(() => Array.from({ length: 10_000 }, Identifier.random))
    // What was in the pool before belongs to the first ids.
    assert.isAtLeast(bytes, 10_000 * 32 - 4096)
    assert.isAtMost(bytes, 10_000 * 32 + 4096)
    assert.strictEqual(new Set(ids).size, 10_000)
    for (const id of ids) {
      assert.match(id, /^[A-Za-z0-9_-]{43}$/)
      assert.isTrue(Identifier.isWellFormed(id))
    }
  })

  it("V7.2.3 has no bit that is always the same", () => {
    const ids = Array.from({ length: 10_000 }, () => Buffer.from(Identifier.random(), "base64url"))
    for (let bit = 0; bit < 256; bit++) {
      const ones = ids.filter((bytes) => (bytes[bit >> 3]! >> (bit & 7)) & 1).length
      // Half of them, give or take ten standard deviations.
      assert.isTrue(ones > 4_500 && ones < 5_500, `bit ${bit} is set in ${ones} of 10,000`)
    }
  })

  it.effect("is what SessionConfig.GenerateId makes by default", () =>
    Effect.gen(function*() {
      const generate = yield* SessionConfig.GenerateId
      const [one, other] = [yield* generate, yield* generate]
      assert.match(one, /^[A-Za-z0-9_-]{43}$/)
      assert.notStrictEqual(one, other)
    }))

  it.prop(
    "is well-formed if it is base64url of 128 bits at least, and of 128 characters at most",
    [AnyText],
    ([text]) => {
      assert.strictEqual(
        Identifier.isWellFormed(text),
        /^[\w-]*$/.test(text) && text.length >= 22 && text.length <= 128
      )
    }
  )

  it("is not well-formed one character beyond the bounds, or with a line break", () => {
    const lengths = [21, 22, 128, 129].map((length) => Identifier.isWellFormed("a".repeat(length)))
    assert.deepStrictEqual(lengths, [false, true, true, false])
    for (const text of ["\n", "=", ".", "/", "+", " ", "\0"]) {
      assert.isFalse(Identifier.isWellFormed("a".repeat(43) + text))
      assert.isFalse(Identifier.isWellFormed(text + "a".repeat(43)))
    }
  })

  it("has a hash and a handle that do not contain it, and that are always the same", () => {
    const ids = Array.from({ length: 1_000 }, Identifier.random)
    const hashes = ids.map(Identifier.hash)
    const handles = ids.map(Identifier.handle)
    assert.deepStrictEqual(ids.map(Identifier.hash), hashes)
    assert.deepStrictEqual([new Set(hashes).size, new Set(handles).size], [1_000, 1_000])
    ids.forEach((id, index) => {
      assert.strictEqual(hashes[index], Crypto.createHash("sha256").update(id).digest("base64url"))
      assert.match(handles[index]!, /^[A-Za-z0-9_-]{16}$/)
      assert.isTrue(hashes[index]!.startsWith(handles[index]!))
      assert.notInclude(id, handles[index]!)
    })
  })
})

describe("drawing random bytes", () => {
  it.prop("gives as many as asked for, and never the same twice", [intBetween(1, 64)], ([count]) => {
    const drawn = Array.from({ length: 300 }, () => Identifier.drawBytes(count))
    assert.isTrue(drawn.every((bytes) => bytes.length === count))
    // Fewer than ten bytes may well come twice by chance.
    if (count >= 10) assert.strictEqual(new Set(drawn.map((bytes) => bytes.toString("hex"))).size, 300)
  })

  it("does not repeat a stretch of eight bytes at another place, as it would if it handed out its pool twice", () => {
    const all = Buffer.concat(Array.from({ length: 2_000 }, (_, index) => Identifier.drawBytes(1 + index % 40)))
    const stretches = new Set<string>()
    for (let at = 0; at + 8 <= all.length; at++) stretches.add(all.toString("latin1", at, at + 8))
    assert.strictEqual(stretches.size, all.length - 7)
  })

  it("hands out bytes that nobody else holds, now or later", () => {
    const drawn = Array.from({ length: 1_000 }, () => Identifier.drawBytes(12))
    const before = drawn.map((bytes) => bytes.toString("hex"))
    drawn[0]!.fill(0)
    for (let count = 0; count < 1_000; count++) Identifier.drawBytes(32)
    assert.deepStrictEqual(drawn.slice(1).map((bytes) => bytes.toString("hex")), before.slice(1))
    assert.isTrue(drawn.slice(1).every((bytes) => bytes.some((byte) => byte !== 0)))
  })
})
