/**
 * The field that says when the owner of a session was authenticated: what it holds, and what of it counts.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary } from "effect"
import * as Authentication from "../../src/internal/record/authentication.ts"
import { AnyText, intBetween } from "../support/arbitraries.ts"

const now = 1_800_000_000_000
const minute = 60_000

const Method = Arbitrary.map(AnyText, (text) => (text + "?").slice(0, 64))
const Methods = Arbitrary.map(
  Arbitrary.all([Method, Arbitrary.array(Method)]),
  ([first, rest]): Authentication.Methods => [first, ...rest]
)

describe("an authentication", () => {
  it.prop("comes out as it went in, each method once", [intBetween(0, now), Methods], ([at, methods]) => {
    const [first, ...rest] = methods
    const text = Authentication.encode({ at, methods: [first, ...rest, first] })
    assert.deepStrictEqual(Authentication.decode(text, now), { at, methods: [...new Set(methods)] } as const)
  })

  it("that is ahead by up to ten minutes, as the clock of another server is, counts as now", () => {
    for (const ahead of [1, minute, 10 * minute]) {
      const text = Authentication.encode({ at: now + ahead, methods: ["password"] })
      assert.deepStrictEqual(Authentication.decode(text, now), { at: now, methods: ["password"] })
    }
  })

  it("that is ahead by more than that counts as never, or it would stay recent until then", () => {
    for (const ahead of [10 * minute + 1, 365 * 24 * 60 * minute, Number.MAX_SAFE_INTEGER - now]) {
      const text = Authentication.encode({ at: now + ahead, methods: ["password"] })
      assert.isUndefined(Authentication.decode(text, now))
    }
  })

  it("is recent to the millisecond, if any of the methods is one of those asked for", () => {
    const last = { at: now - minute, methods: ["password", "otp"] } as const
    const isRecent = (maxAge: number, ...methods: ReadonlyArray<string>) =>
      Authentication.isRecent(last, now, maxAge, methods)
    assert.isTrue(isRecent(minute))
    assert.isFalse(isRecent(minute - 1))
    assert.isTrue(isRecent(minute, "passkey", "otp"))
    assert.isFalse(isRecent(minute, "passkey"))
    assert.isFalse(isRecent(minute - 1, "otp"))
  })
})

const damaged = [
  "",
  "{",
  "null",
  "5",
  "\"password\"",
  "[]",
  "{}",
  `{"at":${now}}`,
  `{"methods":["password"]}`,
  `{"at":${now},"methods":[]}`,
  `{"at":${now},"methods":"password"}`,
  `{"at":${now},"methods":[""]}`,
  `{"at":${now},"methods":[5]}`,
  `{"at":${now},"methods":[null]}`,
  `{"at":${now},"methods":["${"p".repeat(65)}"]}`,
  `{"at":"${now}","methods":["password"]}`,
  `{"at":-1,"methods":["password"]}`,
  `{"at":1.5,"methods":["password"]}`,
  `{"at":1e300,"methods":["password"]}`,
  `{"at":null,"methods":["password"]}`
]

describe("a damaged field counts as never", () => {
  for (const text of damaged) {
    it(JSON.stringify(text), () => assert.isUndefined(Authentication.decode(text, now)))
  }

  it.prop("any text", [AnyText], ([text]) => {
    assert.isUndefined(Authentication.decode(text, now))
  })
})

describe("methods", () => {
  it("are at least one name of 1 to 64 characters", () => {
    assert.isTrue(Authentication.isMethods(["p"]))
    assert.isTrue(Authentication.isMethods(["p".repeat(64), "otp"]))
    for (const wrong of [[], [""], ["p".repeat(65)], ["otp", ""], [5], "otp", undefined, null]) {
      assert.isFalse(Authentication.isMethods(wrong))
    }
  })
})
