/**
 * docs/how-it-works/cookie.md is right about a cookie that a server has set: its program opens one.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { CookieLayer, MemoryLayer, Session, SessionConfig, SessionKey, SessionMiddleware } from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { createHmac, hkdfSync } from "node:crypto"
import { readFileSync } from "node:fs"
import ts from "typescript"
import { examplesIn } from "../../docs/.vitepress/code/examples.ts"

const page = readFileSync(new URL("../../docs/how-it-works/cookie.md", import.meta.url), "utf8")

interface Opened {
  readonly id: string
  readonly createdAt: number
  readonly touchedAt: number
  readonly expiresAt: number
  readonly fields: Readonly<Record<string, unknown>>
}

/** The program of the page. */
const load = async (): Promise<(value: string, secret: string, cookieName: string) => Opened> => {
  const code = examplesIn(page).find((code) => code.includes("export const open"))!
  const { outputText } = ts.transpileModule(code, { compilerOptions: { target: ts.ScriptTarget.ESNext } })
  return (await import(/* @vite-ignore */ `data:text/javascript,${encodeURIComponent(outputText)}`)).open
}

const secret = "a secret of thirty-two characters, at the least"
const Cart = SessionKey.make("cart", Schema.Record(Schema.String, Schema.Int))
const Note = SessionKey.make("a note: ä", Schema.String)

const puts = HttpRouter.add(
  "GET",
  "/",
  Effect.gen(function*() {
    yield* Session.put(Cart, { apples: 2 })
    yield* Session.put(Note, "two\nlines")
    return HttpServerResponse.text("put")
  })
).pipe(Layer.provide(SessionMiddleware.layer))

/** What the browser gets. */
const cookieFrom = async (
  store: typeof MemoryLayer.layer | typeof CookieLayer.layer,
  name = "session"
): Promise<string> => {
  const { dispose, handler } = HttpRouter.toWebHandler(
    puts.pipe(Layer.provide(store()), Layer.provide(SessionConfig.layer({ secret, cookie: { name } }))),
    { disableLogger: true }
  )
  const response = await handler(new Request("https://shop.example/"))
  await dispose()
  const [, value] = new RegExp(`^${name}=([^;]*)`).exec(response.headers.getSetCookie()[0]!)!
  return value!
}

describe("docs/how-it-works/cookie.md", () => {
  it("has a program that opens a cookie of CookieLayer", async () => {
    const open = await load()
    const before = Date.now()
    const { createdAt, expiresAt, fields, id, touchedAt } = open(await cookieFrom(CookieLayer.layer), secret, "session")
    assert.match(id, /^[\w-]{43}$/)
    assert.isAtLeast(createdAt, before)
    assert.strictEqual(touchedAt, createdAt)
    assert.strictEqual(expiresAt - createdAt, 2 * 3_600_000)
    assert.deepStrictEqual(fields, { cart: { apples: 2 }, "a note: ä": "two\nlines" })
  })

  it("has a program that opens nothing of another secret, another cookie's name, or altered", async () => {
    const open = await load()
    const value = await cookieFrom(CookieLayer.layer)
    assert.throws(() => open(value, `${secret}!`, "session"), "another secret")
    assert.throws(() => open(value, secret, "other"))
    assert.throws(() =>
      open(`${value.slice(0, 30)}${value[30] === "A" ? "B" : "A"}${value.slice(31)}`, secret, "session")
    )
  })

  it("has the bytes in their places", async () => {
    const [, table = ""] = /<!-- seal -->([^]*?)<!-- end -->/.exec(page) ?? []
    const places = Array.from(
      table.matchAll(/^\| +(\d+)(?:–(\d+))? +\|/gm),
      ([, from, to = from]) => [from, to].map(Number)
    )
    assert.deepStrictEqual(places, [[0, 0], [1, 4], [5, 16]])
    assert.match(table, /^\| from 17 on +\| the ciphertext /m)
    const [first, second] = await Promise.all(
      [1, 2].map(async () => Buffer.from(await cookieFrom(CookieLayer.layer), "base64url"))
    )
    assert.deepStrictEqual(first!.subarray(0, 5), second!.subarray(0, 5))
    assert.notDeepEqual(first!.subarray(5, 17), second!.subarray(5, 17))
    assert.strictEqual(first![0], 1)
  })

  it("is right about a signed id", async () => {
    const [id, signature] = (await cookieFrom(MemoryLayer.layer, "sid")).split(".")
    const key = Buffer.from(hkdfSync("sha256", secret, "", "effect-session v1 sign-id", 32))
    assert.match(id!, /^[\w-]{43}$/)
    assert.strictEqual(signature, createHmac("sha256", key).update(`sid\n${id}`).digest("base64url"))
  })
})
