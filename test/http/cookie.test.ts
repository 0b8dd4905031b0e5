/**
 * The cookie: found in any header a client may send, and written so that browsers keep it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Duration, Schema } from "effect"
import { SessionError } from "effect-session"
import * as Cookies from "effect/http/Cookies"
import { Cookie as JarCookie, CookieJar } from "tough-cookie"
import * as Cookie from "../../src/internal/http/cookie.ts"
import { endOfTime } from "../../src/internal/record/record.ts"
import type { Presented } from "../../src/internal/request/requestSession.ts"
import * as Capacity from "../../src/internal/token/capacity.ts"
import { AnyText, intBetween, oneOf } from "../support/arbitraries.ts"

type Settings = Parameters<typeof Cookie.make>[0]

const defaults: Settings = {
  name: "session",
  path: "/",
  httpOnly: true,
  secure: true,
  sameSite: "lax",
  partitioned: false,
  persistence: "persistent",
  chunks: 1
}

/** Every setting that an attribute tells, unlike the default. */
const unusual = {
  name: "__Secure-sid",
  path: "/app",
  domain: "example.com",
  partitioned: true,
  sameSite: "none"
} as const

const cookie = Cookie.make(defaults)
const chunked = Cookie.make({ ...defaults, chunks: 4 })
const day = 86_400_000

const none = { _tag: "None" } as const
const duplicate = { _tag: "Duplicate" } as const
const token = (token: string) => ({ _tag: "Token", token } as const)

const headerOf = (pairs: ReadonlyArray<readonly [string, string]>) =>
  pairs.map(([name, value]) => `${name}=${value}`).join("; ")

const setCookies = (cookies: ReadonlyArray<Cookies.Cookie>) => cookies.map((one) => Cookies.serializeCookie(one))

/** Text of base64url, as all tokens are. */
const tokenOf = (length: number) => "AbC-_019".repeat(Math.ceil(length / 8)).slice(0, length)

describe("reading", () => {
  const Name = oneOf(["session", "session2", "asession", "session.1", "sess", "Session", "s", "x", "__Host-session"])
  const Value = Arbitrary.schema(Schema.String.check(Schema.isPattern(/^[!#-$&-+\--:<-[\]-~]{0,12}$/)))
  const Pairs = Arbitrary.array(Arbitrary.all([Name, Value]), { minLength: 0, maxLength: 6 })
  const Separator = oneOf(["; ", ";", " ; ", ";\t", ";; "])

  it.prop("finds what a parser of the whole header finds, or nothing where the name comes twice", [Pairs, Separator], ([
    pairs,
    separator
  ]) => {
    const header = pairs.map(([name, value]) => `${name}=${value}`).join(separator)
    const values = new Set(pairs.filter(([name]) => name === "session").map(([, value]) => value))
    const reference = Cookies.parseHeader(header)["session"]
    const expected = values.size > 1 ? duplicate : reference ? token(reference) : none
    assert.deepStrictEqual(cookie.read(header), expected)
  }, { arbitrary: { runs: 1_000 } })

  it.prop("takes any header without throwing", [AnyText, AnyText], ([before, after]) => {
    for (const header of [before, `${before};session=${after}`, `session=${before};session.1=${after}`]) {
      cookie.read(header)
      chunked.read(header)
    }
    assert.deepStrictEqual(cookie.read(`${before.replace(/session/g, "")};session=abc`), token("abc"))
  })

  const cases: ReadonlyArray<readonly [header: string | undefined, presented: Presented]> = [
    [undefined, none],
    ["", none],
    ["session", none],
    ["session=", none],
    ["session=;", none],
    ["=abc", none],
    ["asession=abc", none],
    ["session2=abc", none],
    ["session.1=abc", none],
    ["my session=abc", none],
    ["my-session=abc", none],
    ["SESSION=abc", none],
    ["x=session=abc", none],
    ["x=session", none],
    ["session=abc", token("abc")],
    ["session = abc", token("abc")],
    ["\tsession\t=\tabc\t;", token("abc")],
    ["session=a=b=c", token("a=b=c")],
    ["x=session; session=abc", token("abc")],
    ["x=session=no; session=abc; session2=no; asession=no", token("abc")],
    ["sessionsession=no; session=abc", token("abc")],
    ["session; session=abc", token("abc")],
    [";;;session=abc;;;", token("abc")],
    ["session=%61", token("%61")],
    ["session=\"abc\"", token("abc")],
    ["session = \"abc\" ; x=y", token("abc")],
    ["session=\"abc\"; session=abc", token("abc")],
    ["session=\"abc\"; session=\"def\"", duplicate],
    ["session=\"\"", none],
    ["session=\"", token("\"")],
    ["session=\"abc", token("\"abc")],
    ["session=abc\"", token("abc\"")],
    ["session=abc; session=abc", token("abc")],
    ["session=abc; session=def", duplicate],
    ["session=abc; session=", duplicate],
    ["session=; session=abc", duplicate],
    ["session=abc; x=y; session=abc; session=def", duplicate]
  ]
  for (const [header, presented] of cases) {
    it(`${JSON.stringify(header)} presents ${JSON.stringify(presented)}`, () => {
      assert.deepStrictEqual(cookie.read(header), presented)
    })
  }

  it("comes to an end with headers of a megabyte that are made to be slow", () => {
    const mega = 1 << 20
    const fill = (part: string) => part.repeat(Math.ceil(mega / part.length))
    const headers = [
      fill("session"),
      fill("session;"),
      fill("session="),
      fill("session=a;"),
      fill("session "),
      fill(" session"),
      fill("session=a; session.1=a; "),
      fill(" "),
      fill(";"),
      fill("=") + fill("session"),
      fill(" ") + "session" + fill(" ") + "=" + fill(" ")
    ]
    for (const header of headers) {
      for (const read of [cookie.read, chunked.read]) assert.isObject(read(header))
    }
  })

  it("hands on no more of a token that is too long than tells that it is", () => {
    const read = cookie.read(`session=${"a".repeat(1 << 20)}`)
    assert.deepStrictEqual(read, token("a".repeat(4096 - 7 + 1)))
    const chunks = ["session", "session.1", "session.2", "session.3", "session.4"]
    const all = chunked.read(headerOf(chunks.map((name) => [name, "a".repeat(1 << 20)])))
    assert.strictEqual(all._tag === "Token" ? all.token.length : 0, Capacity.ofToken({ ...defaults, chunks: 4 }) + 1)
  })
})

describe("writing", () => {
  const write = (settings: Partial<Settings>, length = 43, lifetime = day) =>
    Cookie.make({ ...defaults, ...settings }).write(tokenOf(length), lifetime, 0, undefined)

  it("sets the attributes of the settings, and nothing else", () => {
    assert.deepStrictEqual(setCookies(write({})), [
      `session=${tokenOf(43)}; Max-Age=86400; Path=/; HttpOnly; Secure; SameSite=Lax`
    ])
    assert.deepStrictEqual(setCookies(write(unusual)), [
      `__Secure-sid=${
        tokenOf(43)
      }; Max-Age=86400; Domain=example.com; Path=/app; HttpOnly; Secure; Partitioned; SameSite=None`
    ])
    assert.deepStrictEqual(setCookies(write({ httpOnly: false, secure: false, sameSite: "strict" })), [
      `session=${tokenOf(43)}; Max-Age=86400; Path=/; SameSite=Strict`
    ])
  })

  const Attributes = Schema.Struct({
    path: Schema.Literals(["/", "/app"]),
    httpOnly: Schema.Boolean,
    secure: Schema.Boolean,
    sameSite: Schema.Literals(["lax", "strict", "none"]),
    partitioned: Schema.Boolean,
    domain: Schema.optionalKey(Schema.Literal("example.com"))
  })

  it.prop("makes the cookie that Effect makes of the token and these attributes, whatever the token is", [
    Attributes,
    AnyText,
    intBetween(0, 500)
  ], ([attributes, text, days]) => {
    const { write } = Cookie.make({ ...defaults, ...attributes })
    for (const token of [text.toWellFormed(), tokenOf(text.length), `${tokenOf(43)}.${tokenOf(43)}~`]) {
      const options = { domain: undefined, ...attributes, maxAge: Duration.seconds(Math.min(days, 400) * 86_400) }
      const expected = Cookies.makeCookieUnsafe("session", token, options)
      // The second time the attributes are those of the first.
      for (const [written, ...others] of [write(token, days * day, 0, ""), write(token, days * day, 0, "")]) {
        assert.deepStrictEqual(others, [])
        assert.deepStrictEqual(written, expected)
        assert.isTrue(Cookies.isCookie(written))
        assert.strictEqual(Cookies.serializeCookie(written!), Cookies.serializeCookie(expected))
      }
    }
  })

  it("a cookie for the browser's session has no lifetime of its own", () => {
    for (const lifetime of [1, day, endOfTime]) {
      assert.deepStrictEqual(setCookies(write({ persistence: "browser" }, 43, lifetime)), [
        `session=${tokenOf(43)}; Path=/; HttpOnly; Secure; SameSite=Lax`
      ])
    }
  })

  const maxAge = (expiresAt: number, now: number) =>
    Number(/; Max-Age=(\d+);/.exec(setCookies(cookie.write("token", expiresAt, now, undefined))[0]!)![1])

  it.prop("B Max-Age is as long as the session lives, to the second, and 400 days at most", [
    intBetween(0, 2_000_000_000_000),
    intBetween(-day, 1_000 * day)
  ], ([now, lifetime]) => {
    const seconds = maxAge(now + lifetime, now)
    assert.strictEqual(seconds, Math.min(Math.max(0, Math.ceil(lifetime / 1000)), 400 * 86_400))
  })

  it("B a session that never ends has a cookie of 400 days", () => {
    assert.strictEqual(maxAge(endOfTime, 1_700_000_000_000), 400 * 86_400)
    assert.strictEqual(maxAge(400 * day, 0), 400 * 86_400)
    assert.strictEqual(maxAge(400 * day + 1, 0), 400 * 86_400)
    assert.strictEqual(maxAge(400 * day - 1000, 0), 400 * 86_400 - 1)
  })

  const settings: ReadonlyArray<Partial<Settings>> = [
    {},
    { name: "__Host-sid", sameSite: "strict" },
    { name: "__Secure-sid", path: "/app", domain: "shop.example.com", sameSite: "none", partitioned: true },
    { secure: false, httpOnly: false, path: "/app" },
    { persistence: "browser" },
    { chunks: 4, domain: "example.com" }
  ]

  for (const some of settings) {
    it(`V7.4.4 clears with the attributes that it sets, and a browser forgets: ${JSON.stringify(some)}`, async () => {
      const { clear, write } = Cookie.make({ ...defaults, ...some })
      const length = some.chunks === undefined ? 43 : 10_000
      const set = setCookies(write(tokenOf(length), Date.now() + day, Date.now(), undefined))
      const jar = new CookieJar(undefined, { prefixSecurity: "strict" })
      const url = "https://shop.example.com/app"
      for (const one of set) await jar.setCookie(one, url)
      const header = await jar.getCookieString(url)
      const cleared = setCookies(clear(header))

      const identity = (one: string) => {
        const { domain, extensions, httpOnly, key, path, sameSite, secure } = JarCookie.parse(one)!
        return { domain, extensions, httpOnly, key, path, sameSite, secure }
      }
      assert.deepStrictEqual(cleared.map(identity), set.map(identity))
      assert.isNotEmpty(header)
      for (const one of cleared) await jar.setCookie(one, url)
      assert.strictEqual(await jar.getCookieString(url), "")
    })
  }

  it("clears only the chunks that the browser has", () => {
    const names = (header: string) => chunked.clear(header).map(({ name }) => name)
    assert.deepStrictEqual(names(""), ["session"])
    assert.deepStrictEqual(names("session=a; session.1=b"), ["session", "session.1"])
    assert.deepStrictEqual(names("session.3=b; session.9=c"), ["session", "session.3"])
  })
})

describe("V3.3.5 sizes", () => {
  const roomFor = (name: string, total: number) => tokenOf(total - name.length)

  it("4,095 and 4,096 bytes of name and value are written, and 4,097 are an error", () => {
    for (const name of ["session", "s", "n".repeat(256), "__Host-session"]) {
      const { write } = Cookie.make({ ...defaults, name })
      for (const total of [4095, 4096]) {
        const [only, ...others] = write(roomFor(name, total), day, 0, undefined)
        assert.deepStrictEqual(others, [])
        assert.strictEqual(Buffer.byteLength(only!.name + only!.valueEncoded), total)
      }
      assert.throws(() => write(roomFor(name, 4097), day, 0, undefined), SessionError.SessionTooLargeError)
    }
  })

  it("each chunk takes 4,096 bytes, and the next one begins where it is full", () => {
    const sizes = (length: number) =>
      chunked.write(tokenOf(length), day, 0, undefined).map(({ name, valueEncoded }) => [name, valueEncoded.length])
    const [first, other] = [4096 - "session".length, 4096 - "session.1".length]
    assert.deepStrictEqual(sizes(first - 1), [["session", first - 1]])
    assert.deepStrictEqual(sizes(first), [["session", first]])
    assert.deepStrictEqual(sizes(first + 1), [["session", first], ["session.1", 1]])
    assert.deepStrictEqual(sizes(first + other), [["session", first], ["session.1", other]])
    assert.deepStrictEqual(sizes(first + other + 1), [["session", first], ["session.1", other], ["session.2", 1]])
    const all = first + 3 * other
    assert.deepStrictEqual(sizes(all).map(([, size]) => size), [first, other, other, other])
    assert.strictEqual(all, Capacity.ofToken({ ...defaults, chunks: 4 }))
    assert.throws(() => sizes(all + 1), SessionError.SessionTooLargeError)
  })

  const Chunks = intBetween(1, 4)
  const NameLength = intBetween(1, 256)

  it.prop("what was written in chunks is read as it was, whatever chunks the browser had before", [
    Chunks,
    NameLength,
    intBetween(0, 1_000_000),
    intBetween(0, 1_000_000)
  ], ([chunks, nameLength, seed, seedBefore]) => {
    const settings = { ...defaults, chunks, name: "n".repeat(nameLength) }
    const { read, write } = Cookie.make(settings)
    const capacity = Capacity.ofToken(settings)
    const [now, before] = [seed, seedBefore].map((seed) => tokenOf(1 + seed % capacity))

    const browser = new Map<string, string>()
    const header = () => headerOf([...browser])
    const receive = (cookies: ReadonlyArray<Cookies.Cookie>) => {
      for (const { name, options, valueEncoded } of cookies) {
        assert.isAtMost(Buffer.byteLength(name + valueEncoded), 4096)
        if (options?.maxAge === 0) browser.delete(name)
        else browser.set(name, valueEncoded)
      }
    }
    receive(write(before!, day, 0, undefined))
    receive(write(now!, day, 0, header()))
    assert.deepStrictEqual(read(header()), token(now!))
  })

  it.prop("and at the very boundaries of the chunks", [Chunks, Chunks, intBetween(-2, 2)], ([chunks, full, more]) => {
    const settings = { ...defaults, chunks }
    const { read, write } = Cookie.make(settings)
    const length = Math.min(
      Capacity.ofToken({ ...defaults, chunks: Math.min(full, chunks) }) + more,
      Capacity.ofToken(settings)
    )
    const cookies = write(tokenOf(length), day, 0, undefined)
    const header = headerOf(cookies.map(({ name, valueEncoded }) => [name, valueEncoded]))
    assert.deepStrictEqual(read(header), token(tokenOf(length)))
    // The order in which a browser sends them says nothing.
    assert.deepStrictEqual(read(header.split("; ").toReversed().join("; ")), token(tokenOf(length)))
  })

  it("a chunk that is left over from a longer token is expired, and none is read beyond one that is not full", () => {
    const stale = headerOf([["session", tokenOf(4089)], ["session.1", tokenOf(4087)], ["session.2", "x"]])
    const written = chunked.write("short", day, 0, stale)
    assert.deepStrictEqual(written.map(({ name, options }) => [name, options?.maxAge === 0]), [
      ["session", false],
      ["session.1", true],
      ["session.2", true]
    ])
    assert.deepStrictEqual(chunked.read("session=short; session.1=stale"), token("short"))
  })

  it("a chunk that is missing makes the token shorter, and one that comes twice makes it none", () => {
    const [first, second, third] = [tokenOf(4089), tokenOf(4087), "rest"]
    assert.deepStrictEqual(chunked.read(headerOf([["session", first], ["session.2", third]])), token(first))
    assert.deepStrictEqual(chunked.read(headerOf([["session.1", second], ["session.2", third]])), none)
    assert.deepStrictEqual(
      chunked.read(headerOf([["session", first], ["session.1", second], ["session.1", "other"]])),
      duplicate
    )
  })
})

describe("Set-Cookie", () => {
  it("is read by a parser that knows the rules as it was meant", () => {
    const [header] = setCookies(Cookie.make({ ...defaults, ...unusual }).write(tokenOf(3_000), 5 * day, 0, undefined))
    const parsed = JarCookie.parse(header!)!
    assert.deepInclude(parsed, {
      key: "__Secure-sid",
      value: tokenOf(3_000),
      path: "/app",
      domain: "example.com",
      httpOnly: true,
      secure: true,
      sameSite: "none",
      maxAge: 5 * 86_400,
      extensions: ["Partitioned"]
    })
  })
})
