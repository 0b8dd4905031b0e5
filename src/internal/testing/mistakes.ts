/**
 * Mistakes in the setup of a test, as defects that say how to fix them.
 */
import * as Effect from "effect/Effect"
import * as Cookies from "effect/http/Cookies"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Option from "effect/Option"
import type { Settings } from "../../SessionConfig.ts"
import type { Loaded, SessionStore } from "../../SessionStore.ts"
import * as Cookie from "../http/cookie.ts"
import type { Exchange } from "../http/exchange.ts"
import { Token } from "../token/secret.ts"
import * as InProcess from "./inProcess.ts"

const mistake = (text: string): Effect.Effect<never> => Effect.die(new Error(`SessionTest: ${text}`))

export const noAddress = mistake(
  "the address of the application is unknown. Provide SessionTest.layer() or NodeHttpServer.layerTest, " +
    "or write SessionTest.client({ url: \"http://127.0.0.1:3000\" })"
)

export const noCookies = mistake(
  "the setting transports has no \"cookie\", which a client, like a browser, needs. Create a session with Sessions.create, and present its " +
    "token as described in docs/guide/transports.md"
)

/** For the session's cookie this is a mistake; for others, the application may want to see it. */
export const refused = ({ cookie }: Settings, url: URL, setCookie: string, why: string): Effect.Effect<void> => {
  const name = setCookie.split("=", 1)[0]!.trim()
  const what = `a browser rejects the cookie ${name} of ${url.origin}: ${why}`
  if (name !== cookie.name) return Effect.logWarning(what)
  return mistake(
    `${what}. Change the settings under cookie (such as cookie: { secure: false } in a test over plain http), ` +
      "or the address of the application (SessionTest.layer({ url }), SessionTest.client({ url }))"
  )
}

/** Every Set-Cookie header of a response, if its client has kept them separate. */
export const setCookiesOf = (response: HttpClientResponse.HttpClientResponse): ReadonlyArray<string> =>
  Option.match(HttpClientResponse.toWeb(response), {
    onNone: () => Object.values(response.cookies.cookies).map(Cookies.serializeCookie),
    onSome: ({ headers }) => headers.getSetCookie()
  })

/**
 * After a response, checks that the application and the test share their sessions, using the cookies that the client
 * sent and those that it has now.
 */
export const make = (settings: Settings, store: SessionStore) => {
  const { name } = settings.cookie
  const { read } = Cookie.make(settings.cookie)

  // If the store fails, nothing can be said.
  const load = (cookies: string | undefined): Effect.Effect<Loaded | undefined> => {
    const presented = read(cookies)
    return presented._tag === "Token"
      ? Effect.orElseSucceed(store.load(new Token(presented.token)), () => undefined)
      : Effect.undefined
  }

  let isChecked = false
  let hasWarned = false

  /** A cookie that the application has set must be a session here. */
  const ofCookie = Effect.fnUntraced(function*(cookies: string | undefined) {
    const loaded = yield* load(cookies)
    if (loaded?._tag === "NotFound") {
      yield* mistake(`the application has set a cookie ${name} ${reasons[loaded.reason]}`)
    }
    isChecked = loaded !== undefined
  })

  /** A session here must have been a session for the application. */
  const ofSession = Effect.fnUntraced(function*(exchanges: ReadonlyArray<Exchange>, cookies: string) {
    const own = exchanges.find(({ cookieName }) => cookieName === name)
    if (own !== undefined && own.session.state._tag !== "Anonymous") return
    if ((yield* load(cookies))?._tag !== "Found") return
    if (own !== undefined) yield* mistake(`the application did not find the session of this client. ${sameStore}`)
    // It may use several cookie names.
    if (hasWarned) return
    hasWarned = true
    yield* Effect.logWarning(
      `SessionTest: the application has its sessions in the cookie ${
        exchanges[0]!.cookieName
      }, and the test in ${name}. ` +
        sameConfig
    )
  })

  return Effect.fnUntraced(function*(
    response: HttpClientResponse.HttpClientResponse,
    sent: string | undefined,
    held: string | undefined
  ) {
    const exchanges = InProcess.exchangesOf(response)
    if (exchanges.length > 0 && sent !== undefined) yield* ofSession(exchanges, sent)
    if (!isChecked && setCookiesOf(response).some((setCookie) => setCookie.startsWith(`${name}=`))) {
      yield* ofCookie(held)
    }
  })
}

const sameConfig = "Provide one SessionConfig to both, or the same settings"

const sameStore = "Provide one SessionStore to both, with Layer.provideMerge after the application " +
  "(MemoryLayer.layer() twice makes two stores), or stores of one back end with the same settings"

const reasons: { readonly [Reason in Extract<Loaded, { _tag: "NotFound" }>["reason"]]: string } = {
  malformed: `that does not belong to the test: it has another driver, or another id.protection. ${sameConfig}`,
  tampered: `that was made with a different secret or a different name than the test's. ${sameConfig}`,
  unknown: `of a session that is not in the test's store. ${sameStore}`,
  expired: "of a session that has expired by the test's clock. If the application uses the real time, so must the " +
    "test: it.live instead of it.effect"
}
