/**
 * The process of seals.ts: one candidate that seals and opens, checked before it is measured.
 *
 * Some are given the session as JSON text, the others as values, which they make JSON of, and parse again, themselves.
 * Each imports only what is its own, as what the others keep in memory would be its garbage collector's work.
 */
import type { Encryption } from "@adonisjs/core/encryption"
import type { Session } from "@fastify/secure-session"
import * as Redacted from "effect/Redacted"
import * as Crypto from "node:crypto"
import { createRequire } from "node:module"
import { setImmediate } from "node:timers/promises"
import { isDeepStrictEqual } from "node:util"
import * as Record from "../src/internal/record/record.ts"
import * as KeyRing from "../src/internal/token/keyRing.ts"
import * as Seal from "../src/internal/token/seal.ts"
import { answerWith } from "./alone.ts"
import type { Content } from "./content.ts"
import { variedContentOf } from "./varied.ts"

export interface Question {
  readonly operation: "seal" | "open"
  readonly bytes: number
  readonly milliseconds: number
}

/** CPU time of one operation in microseconds. */
export type Answer = number

interface Sealer<Input, Output> {
  /** What a session is to this candidate, before it is sealed. Not measured. */
  readonly input: (content: Content) => Input
  readonly seal: (input: Input) => string | Promise<string>
  readonly open: (sealed: string) => Output | Promise<Output>
  /** What was in the session. Not measured. */
  readonly content: (output: Output) => unknown
}

const cookieName = "session"
const secret = "bench-bench-bench-bench-bench-bench-bench"

// -----------------------------------------------------------------------------
// those that are given text
// -----------------------------------------------------------------------------

interface TextSealer {
  readonly seal: (text: string) => string
  readonly open: (sealed: string) => string
}

/** Random bytes, drawn in bulk. */
const draw = (count: number): Buffer => {
  if (offset + count > pool.length) {
    Crypto.randomFillSync(pool)
    offset = 0
  }
  offset += count
  return pool.subarray(offset - count, offset)
}
const pool = Buffer.alloc(4096)
let offset = pool.length

const associatedData = Buffer.from(`v1 ${cookieName}`)
const tagLength = 16

const nodeCrypto = (algorithm: "aes-256-gcm" | "chacha20-poly1305"): TextSealer => {
  const key = Crypto.createSecretKey(Crypto.randomBytes(32))
  // Both have the same interface; the types know only one name at a time.
  const name = algorithm as "aes-256-gcm"
  const options = { authTagLength: tagLength }
  return {
    seal: (text) => {
      const nonce = draw(12)
      const cipher = Crypto.createCipheriv(name, key, nonce, options)
      cipher.setAAD(associatedData)
      const ciphertext = cipher.update(text, "utf8")
      cipher.final()
      return Buffer.concat([nonce, ciphertext, cipher.getAuthTag()]).toString("base64url")
    },
    open: (sealed) => {
      const bytes = Buffer.from(sealed, "base64url")
      const tagStart = bytes.length - tagLength
      const decipher = Crypto.createDecipheriv(name, key, bytes.subarray(0, 12), options)
      decipher.setAAD(associatedData)
      decipher.setAuthTag(bytes.subarray(tagStart))
      const text = decipher.update(bytes.subarray(12, tagStart))
      decipher.final()
      return text.toString("utf8")
    }
  }
}

/** What is called here of sodium-native, which has no types. */
interface Sodium {
  readonly crypto_aead_xchacha20poly1305_ietf_encrypt: (
    ...parameters: [ciphertext: Buffer, text: Buffer, associated: Buffer, none: null, nonce: Buffer, key: Buffer]
  ) => number
  readonly crypto_aead_xchacha20poly1305_ietf_decrypt: (
    ...parameters: [text: Buffer, none: null, ciphertext: Buffer, associated: Buffer, nonce: Buffer, key: Buffer]
  ) => number
  readonly crypto_secretbox_easy: (ciphertext: Buffer, text: Buffer, nonce: Buffer, key: Buffer) => void
  readonly crypto_secretbox_open_easy: (text: Buffer, ciphertext: Buffer, nonce: Buffer, key: Buffer) => boolean
}

const loadSodium = () => createRequire(import.meta.url)("sodium-native") as Sodium

/** Both have nonces of 24 bytes and tags of 16. */
const libsodium = (
  encrypt: (ciphertext: Buffer, text: Buffer, nonce: Buffer) => void,
  decrypt: (text: Buffer, ciphertext: Buffer, nonce: Buffer) => void
): TextSealer => ({
  seal: (text) => {
    const plain = Buffer.from(text, "utf8")
    const bytes = Buffer.allocUnsafe(24 + plain.length + tagLength)
    const nonce = draw(24)
    nonce.copy(bytes)
    encrypt(bytes.subarray(24), plain, nonce)
    return bytes.toString("base64url")
  },
  open: (sealed) => {
    const bytes = Buffer.from(sealed, "base64url")
    const text = Buffer.allocUnsafe(bytes.length - 24 - tagLength)
    decrypt(text, bytes.subarray(24), bytes.subarray(0, 24))
    return text.toString("utf8")
  }
})

const xchacha20 = () => {
  const sodium = loadSodium()
  const key = Crypto.randomBytes(32)
  return libsodium(
    (ciphertext, text, nonce) =>
      sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(ciphertext, text, associatedData, null, nonce, key),
    (text, ciphertext, nonce) =>
      sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(text, null, ciphertext, associatedData, nonce, key)
  )
}

const secretbox = () => {
  const sodium = loadSodium()
  const key = Crypto.randomBytes(32)
  return libsodium(
    (ciphertext, text, nonce) => sodium.crypto_secretbox_easy(ciphertext, text, nonce, key),
    (text, ciphertext, nonce) => {
      if (!sodium.crypto_secretbox_open_easy(text, ciphertext, nonce, key)) throw new Error("It does not open")
    }
  )
}

const effectSession = (): TextSealer => {
  const { open, seal } = Seal.make(KeyRing.make([Redacted.make(secret)], "seal-session")!, `session ${cookieName}`)
  return { seal: (text) => seal(text), open: (sealed) => open(sealed)!.plaintext }
}

const ofText = ({ open, seal }: TextSealer): Sealer<string, string> => ({
  input: (content) => JSON.stringify(content),
  seal,
  open,
  content: (text) => JSON.parse(text)
})

// -----------------------------------------------------------------------------
// those that are given values
// -----------------------------------------------------------------------------

const ofValues = ({ open, seal }: TextSealer): Sealer<Content, Content> => ({
  input: (content) => content,
  seal: (content) => seal(JSON.stringify(content)),
  open: (sealed) => JSON.parse(open(sealed)) as Content,
  content: (content) => content
})

/** The record as CookieLayer seals it, with the id and the times in it, and each value a JSON text of its own. */
const effectSessionRecord = (): Sealer<Content, Content> => {
  const { open, seal } = effectSession()
  const id = Crypto.randomBytes(32).toString("base64url")
  const now = Date.now()
  const times = { createdAt: now, touchedAt: now, expiresAt: now + 7_200_000 }
  return {
    input: (content) => content,
    seal: (content) => {
      const fields = new Map<string, string>()
      for (const name in content) fields.set(name, JSON.stringify(content[name]))
      return seal(`${id}\n${Record.encode({ ...times, fields })}`)
    },
    open: (sealed) => {
      const text = open(sealed)
      const { fields } = Record.decode(text.slice(text.indexOf("\n") + 1))
      const content: { [name: string]: string | number } = {}
      for (const [name, value] of fields) content[name] = JSON.parse(value)
      return content
    },
    content: (content) => content
  }
}

/** Its cookie encodes this once more, as URI component. */
const fastifySecureSession = async (): Promise<Sealer<Session, Session | null>> => {
  const { default: secureSession } = await import("@fastify/secure-session")
  const { fastify } = await import("fastify")
  const server = fastify()
  await server.register(secureSession, { key: Crypto.randomBytes(32) })
  await server.ready()
  return {
    // The session becomes the owner of what it is given, and puts its time into it.
    input: (content) => server.createSecureSession({ ...content }),
    seal: (session) => server.encodeSecureSession(session),
    open: (sealed) => server.decodeSecureSession(sealed),
    content: (session) => session?.data()
  }
}

/** What its cookie store calls. */
const adonis = async (driver: Driver): Promise<Sealer<Content, unknown>> => {
  const { Encryption } = await import("@adonisjs/core/encryption")
  const { CookieClient } = await import("@adonisjs/core/http")
  const cookies = new CookieClient(new Encryption({ driver, keys: [secret] }))
  return {
    input: (content) => content,
    seal: (content) => cookies.encrypt(cookieName, content)!,
    open: (sealed) => cookies.decrypt(cookieName, sealed),
    content: (content) => content
  }
}
type Driver = ConstructorParameters<typeof Encryption>[0]["driver"]

/** As the starter kits of AdonisJS have it. */
const adonisAes = async () => {
  const { AES256GCM } = await import("@adonisjs/core/encryption/drivers/aes_256_gcm")
  return adonis((key) => new AES256GCM({ id: "gcm", key }))
}

const adonisChaCha20 = async () => {
  const { ChaCha20Poly1305 } = await import("@adonisjs/core/encryption/drivers/chacha20_poly1305")
  return adonis((key) => new ChaCha20Poly1305({ id: "chacha", key }))
}

const ironSession = async (): Promise<Sealer<Content, unknown>> => {
  const { sealData, unsealData } = await import("iron-session")
  return {
    input: (content) => content,
    seal: (content) => sealData(content, { password: secret }),
    open: (sealed) => unsealData(sealed, { password: secret }),
    content: (content) => content
  }
}

// -----------------------------------------------------------------------------
// checking and measuring
// -----------------------------------------------------------------------------

type Measure = (question: Question) => Promise<Answer>

const measuring = <Input, Output>(sealer: Sealer<Input, Output>): Measure => {
  const prepared = new Map<number, { readonly inputs: ReadonlyArray<Input>; readonly sealed: ReadonlyArray<string> }>()
  const prepare = async (bytes: number) => {
    const contents = Array.from({ length: 64 }, (_, index) => variedContentOf(bytes, index))
    const inputs = contents.map(sealer.input)
    const sealed = await Promise.all(inputs.map(sealer.seal))
    await Promise.all(sealed.map((sealed, index) => check(sealer, sealed, contents[index]!)))
    await cpuTime(sealer.seal, inputs, warmUp)
    await cpuTime(sealer.open, sealed, warmUp)
    prepared.set(bytes, { inputs, sealed })
    return { inputs, sealed }
  }
  return async ({ bytes, milliseconds, operation }) => {
    const { inputs, sealed } = prepared.get(bytes) ?? await prepare(bytes)
    return operation === "seal"
      ? cpuTime(sealer.seal, inputs, milliseconds)
      : cpuTime(sealer.open, sealed, milliseconds)
  }
}

const warmUp = 100

/** What was sealed opens again, and opens no more after a single character was changed. */
const check = async <Input, Output>(
  { content, open }: Sealer<Input, Output>,
  sealed: string,
  expected: Content
): Promise<void> => {
  if (!isDeepStrictEqual(content(await open(sealed)), expected)) throw new Error("What was sealed is not what opens")
  const middle = sealed.length >> 1
  const tampered = sealed.slice(0, middle) + (sealed[middle] === "a" ? "b" : "a") + sealed.slice(middle + 1)
  const opened = await Promise.resolve().then(() => open(tampered)).catch(() => undefined)
  if (opened != null && Object.keys(opened).length > 0) throw new Error("It opens although it was tampered with")
}

/** Of all threads, in microseconds. Those that do it on other threads get many to do at once, as on a busy server. */
const cpuTime = async <Input>(
  operate: (input: Input) => unknown,
  inputs: ReadonlyArray<Input>,
  milliseconds: number
): Promise<number> => {
  const isAsynchronous = operate(inputs[0]!) instanceof Promise
  const run = async (milliseconds: number) => {
    const end = performance.now() + milliseconds
    let count = 0
    do {
      if (isAsynchronous) await Promise.all(inputs.map(operate))
      else for (const input of inputs) kept = operate(input)
      count += inputs.length
      // What is native of a cipher is freed between two turns, on a server after every request.
      await setImmediate()
    } while (performance.now() < end)
    return count
  }
  // While others were running, this process's memory has gone from the processor's caches.
  await run(milliseconds / 4)
  const before = process.cpuUsage()
  const count = await run(milliseconds)
  const { system, user } = process.cpuUsage(before)
  return (system + user) / count
}

/** A result that nobody could look at might not be made. */
export let kept: unknown

// -----------------------------------------------------------------------------

/** By what they are given, and by name. */
const candidates: { readonly [name: string]: () => Measure | Promise<Measure> } = {
  "text AES-256-GCM": () => measuring(ofText(nodeCrypto("aes-256-gcm"))),
  "text effect-session": () => measuring(ofText(effectSession())),
  "text ChaCha20-Poly1305": () => measuring(ofText(nodeCrypto("chacha20-poly1305"))),
  "text libsodium, XChaCha20-Poly1305": () => measuring(ofText(xchacha20())),
  "text libsodium, secretbox": () => measuring(ofText(secretbox())),
  "values AES-256-GCM": () => measuring(ofValues(nodeCrypto("aes-256-gcm"))),
  "values effect-session": () => measuring(effectSessionRecord()),
  "values @fastify/secure-session": async () => measuring(await fastifySecureSession()),
  "values AdonisJS, AES-256-GCM": async () => measuring(await adonisAes()),
  "values AdonisJS, ChaCha20-Poly1305": async () => measuring(await adonisChaCha20()),
  "values iron-session": async () => measuring(await ironSession())
}

answerWith(await candidates[process.argv[2]!]!())
