/**
 * Which cookies a client keeps and sends: those that a browser does, by RFC 6265bis and beside tough-cookie.
 */
import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import { CookieJar } from "tough-cookie"
import * as Jar from "../../src/internal/testing/jar.ts"

const at = (address: string) => new URL(address)

const received = (address: string, ...setCookies: ReadonlyArray<string>): Jar.Jar =>
  setCookies.reduce<Jar.Jar>((jar, setCookie) => Result.getOrThrow(Jar.receive(jar, at(address), setCookie, 0)), [])

const refusal = (address: string, setCookie: string, jar: Jar.Jar = []) =>
  Result.match(Jar.receive(jar, at(address), setCookie, 0), { onFailure: (why) => why, onSuccess: () => "taken" })

const sent = (jar: Jar.Jar, address: string, now = 0) => Jar.toSend(jar, at(address), now)

describe("a cookie that a browser refuses", () => {
  const long = "x".repeat(4_097)

  it.each([
    ["https://a.example/", `a=${long}`, /4,096/],
    ["http://a.example/", "a=1; Secure", /plain http/],
    ["https://a.example/", "a=1; SameSite=None", /SameSite=None needs Secure/],
    ["https://a.example/", "a=1; Partitioned", /Partitioned needs Secure/],
    ["https://a.example/", "__Secure-a=1", /__Secure- needs Secure/],
    ["https://a.example/", "__HOST-a=1; Path=/", /__HOST- needs Secure/],
    ["https://a.example/", "__Host-a=1; Secure", /Path=\/ and no Domain/],
    ["https://a.example/", "__Host-a=1; Secure; Path=/; Domain=a.example", /Path=\/ and no Domain/],
    ["https://a.example/", "__Http-a=1; Secure", /needs HttpOnly/],
    ["https://a.example/", "__Host-Http-a=1; Secure; Path=/", /needs HttpOnly/],
    ["https://a.example/", "a=1; Domain=b.example", /Domain b.example does not match a.example/],
    ["https://a.example/", "a=1; Domain=x.a.example", /Domain/],
    ["https://a.example/", "=1", /no valid cookie name/],
    ["https://a.example/", "gibberish", /no valid cookie name/]
  ])("of %s: %s", (address, setCookie, why) => {
    assert.match(refusal(address, setCookie), why)
  })

  it("is one over plain http of a name that is Secure already", () => {
    const jar = received("https://a.example/", "a=1; Secure; Path=/")
    assert.match(refusal("http://a.example/", "a=2; Path=/", jar), /a Secure cookie of the same name exists/)
    assert.strictEqual(refusal("https://a.example/", "a=2; Path=/", jar), "taken")
    assert.strictEqual(refusal("http://b.example/", "a=2; Path=/", jar), "taken")
  })

  it.each([
    ["https://a.example/", "__Host-a=1; Secure; Path=/"],
    ["https://a.example/", "__Host-Http-a=1; Secure; Path=/; HttpOnly"],
    ["https://x.a.example/", "a=1; Domain=a.example"],
    ["http://localhost:3000/", "a=1; Secure"],
    ["http://127.0.0.1:3000/", "a=1; Secure"],
    ["https://a.example/", "a=; Max-Age=0"]
  ])("is none of %s: %s", (address, setCookie) => {
    assert.strictEqual(refusal(address, setCookie), "taken")
  })
})

describe("a cookie that a client has", () => {
  it.each([
    [`"cookies"`, ["b"]],
    [`"cache", "cookies"`, ["b"]],
    [`"*"`, ["b"]],
    [`"cache", "storage"`, ["a", "x", "b"]],
    ["cookies", ["a", "x", "b"]],
    [undefined, ["a", "x", "b"]]
  ])("goes with all of its site if Clear-Site-Data is %s", (header, names) => {
    const jar = [
      ...received("https://a.example/", "a=1"),
      ...received("https://x.a.example/", "x=1"),
      ...received("https://b.example/", "b=1")
    ]
    const left = (address: string) => Jar.withoutSiteData(jar, at(address), header).map(({ name }) => name)
    assert.deepStrictEqual(left("https://a.example/"), names)
    // Browsers do not heed it there.
    assert.deepStrictEqual(left("http://a.example/"), ["a", "x", "b"])
  })

  it("is sent as long as it lives: Max-Age before Expires, and with neither until the browser is closed", () => {
    const jar = received(
      "https://a.example/",
      "a=1; Max-Age=10; Expires=Thu, 01 Jan 1970 00:00:01 GMT",
      "b=1; Expires=Thu, 01 Jan 1970 00:00:20 GMT",
      "c=1"
    )
    assert.strictEqual(sent(jar, "https://a.example/", 9_999), "a=1; b=1; c=1")
    assert.strictEqual(sent(jar, "https://a.example/", 10_000), "b=1; c=1")
    assert.strictEqual(sent(jar, "https://a.example/", 20_000), "c=1")
    assert.deepStrictEqual(Jar.alive(jar, 20_000).map(({ name }) => name), ["c"])
    assert.strictEqual(sent(Jar.withoutSessionCookies(jar), "https://a.example/", 0), "a=1; b=1")
  })

  it("is sent to where it is for, and only over a connection that is Secure if it is", () => {
    const jar = received(
      "https://a.example/shop/cart",
      "deep=1",
      "all=1; Path=/; Domain=a.example",
      "safe=1; Secure; Path=/"
    )
    assert.strictEqual(sent(jar, "https://a.example/shop/pay"), "deep=1; all=1; safe=1")
    assert.strictEqual(sent(jar, "http://a.example/"), "all=1")
    assert.strictEqual(sent(jar, "https://x.a.example/"), "all=1")
    assert.strictEqual(sent(jar, "https://b.example/"), undefined)
  })

  it("goes along with what a page of another site sends as its SameSite says", () => {
    const jar = received(
      "https://a.example/",
      "strict=1; SameSite=Strict",
      "lax=1; SameSite=Lax",
      "unsaid=1",
      "none=1; SameSite=None; Secure"
    )
    const from = (page: string, method: string) =>
      Jar.toSend(jar, at("https://a.example/"), 0, { method, page: at(page) })
    assert.strictEqual(from("https://evil.example", "GET"), "lax=1; unsaid=1; none=1")
    assert.strictEqual(from("https://evil.example", "POST"), "none=1")
    assert.strictEqual(from("http://a.example", "POST"), "none=1", "schemeful")
    assert.strictEqual(from("https://x.a.example", "POST"), "strict=1; lax=1; unsaid=1; none=1", "a sibling")
    assert.strictEqual(from("https://a.example", "POST"), "strict=1; lax=1; unsaid=1; none=1")
  })
})

describe("what a client sends", () => {
  const hosts = Schema.Literals(["shop.example", "www.shop.example", "other.example"])
  const paths = Schema.Literals(["/", "/a", "/a/b", "/ab"])
  const Request = Schema.Struct({ isSecure: Schema.Boolean, host: hosts, path: paths })
  const SetCookie = Schema.Struct({
    name: Schema.Literals(["a", "b", "__Host-a", "__Secure-a"]),
    value: Schema.Literals(["1", "2", "3"]),
    domain: Schema.Literals(["", "; Domain=shop.example", "; Domain=www.shop.example"]),
    path: Schema.Literals(["", "; Path=/", "; Path=/a"]),
    secure: Schema.Literals(["", "; Secure"]),
    life: Schema.Literals(["", "; Max-Age=60", "; Max-Age=0", "; Expires=Thu, 01 Jan 1970 00:00:00 GMT"])
  })
  const steps = Schema.Array(Schema.Tuple([Request, SetCookie]))
  const addressOf = ({ host, isSecure, path }: typeof Request.Type) => `http${isSecure ? "s" : ""}://${host}${path}`

  /** What browsers refuse, and tough-cookie takes (RFC 6265bis, 5.7, "leave secure cookies alone"). */
  const overwritesSecure = (jar: CookieJar, from: typeof Request.Type, name: string) =>
    !from.isSecure &&
    jar.getCookiesSync(addressOf({ ...from, isSecure: true })).some(({ key, secure }) => key === name && secure)

  it.prop("is what tough-cookie sends, whatever came before", [steps, Request], ([steps, request]) => {
    const theirs = new CookieJar(undefined, { prefixSecurity: "strict" })
    let ours: Jar.Jar = []
    for (const [from, { domain, life, name, path, secure, value }] of steps) {
      const setCookie = `${name}=${value}${domain}${path}${secure}${life}`
      if (!overwritesSecure(theirs, from, name)) {
        theirs.setCookieSync(setCookie, addressOf(from), { ignoreError: true })
      }
      ours = Result.getOrElse(Jar.receive(ours, at(addressOf(from)), setCookie, Date.now()), () => ours)
    }
    const pairs = (header: string) => header.split("; ").toSorted()
    assert.deepStrictEqual(
      pairs(Jar.toSend(ours, at(addressOf(request)), Date.now()) ?? ""),
      pairs(theirs.getCookieStringSync(addressOf(request)))
    )
  }, { arbitrary: { runs: 2_000 } })
})
