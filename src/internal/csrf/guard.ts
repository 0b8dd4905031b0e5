/**
 * CSRF protection according to the settings: the tokens, and the cookie that a client without a session is bound to.
 */
import * as Crypto from "node:crypto"
import type { Settings } from "../../SessionConfig.ts"
import * as Cookie from "../http/cookie.ts"
import * as KeyRing from "../token/keyRing.ts"
import * as Token from "./token.ts"

export interface Guard {
  readonly tokens: Token.Tokens
  readonly cookie: Cookie.SessionCookie
  /** What a client without a session is bound to, if anything. */
  readonly bindingIn: (header: string | undefined) => string | undefined
}

/** Created once for the settings. */
export const guardOf = (settings: Settings): Guard => {
  const known = guards.get(settings)
  if (known !== undefined) return known
  const guard = make(settings)
  guards.set(settings, guard)
  return guard
}

const guards = new WeakMap<Settings, Guard>()

const make = (settings: Settings): Guard => {
  const cookie = Cookie.make(cookieSettings(settings.cookie))
  return {
    // No middleware starts without a secret, but a test of a handler may have none.
    tokens: Token.make(KeyRing.make(settings.secret, "csrf") ?? randomKeys()),
    cookie,
    bindingIn: (header) => {
      const presented = cookie.read(header)
      return presented._tag === "Token" && Token.isBinding(presented.token) ? presented.token : undefined
    }
  }
}

const randomKeys = (): KeyRing.KeyRing => [
  { id: Buffer.alloc(4), key: Crypto.createSecretKey(Crypto.randomBytes(32)) }
]

/** Like the session's cookie, but with a `__Host-` prefix where possible, always HttpOnly, and until the browser closes. */
const cookieSettings = ({ domain: _, ...cookie }: Settings["cookie"]): Settings["cookie"] => ({
  ...cookie,
  name: `${cookie.secure ? "__Host-" : ""}${cookie.name.replace(/^__(?:host-http|host|secure|http)-/i, "")}-csrf`,
  path: "/",
  httpOnly: true,
  persistence: "browser",
  chunks: 1
})
