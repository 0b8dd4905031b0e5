/**
 * Detects, in development, a mistake that nothing else shows: the cookie is `Secure`, the page is on plain http, and the browser
 * silently drops the cookie. The server sees only new clients.
 */
import type { Settings } from "../../SessionConfig.ts"
import { isProduction } from "../request/production.ts"
import { isLocal } from "./localhost.ts"

interface Headers {
  readonly [name: string]: string | undefined
}

/** Returns `true` once, for the first request whose browser drops the cookie. */
export type Notice = (headers: Headers) => boolean

/** `undefined` in production, or if the cookie is not `Secure`. */
export const make = ({ cookie }: Settings): Notice | undefined => {
  if (!cookie.secure || isProduction()) return undefined
  let hasNoticed = false
  return (headers) => !hasNoticed && (hasNoticed = isDropped(headers))
}

export const message = "The browser drops the session's cookie: it is Secure, and the page is on plain http. " +
  "Set cookie.secure (SESSION_COOKIE_SECURE) to false in development, or serve the page over https"

/**
 * Browsers send `Sec-Fetch-Site` only to https and localhost, the same pages whose `Secure` cookies they keep. Safari sends it from
 * localhost but drops the cookie. There, only `Origin` or `Referer` show that the page is not on https.
 */
const isDropped = (headers: Headers): boolean => {
  const { host = "", "user-agent": agent = "" } = headers
  // Behind a proxy, the server can't know whether the browser uses https.
  if (!agent.startsWith("Mozilla/") || proxied.some((name) => headers[name] !== undefined)) return false
  if (headers["sec-fetch-site"] === undefined && !isLocal(host.replace(/:\d+$/, ""))) return true
  return isSafari(agent) && (headers["origin"] ?? headers["referer"] ?? "").startsWith(`http://${host}`)
}

const proxied = ["forwarded", "x-forwarded-for", "x-forwarded-proto", "via"]

/** Other browsers name Safari too. */
const isSafari = (agent: string): boolean => agent.includes("Safari/") && !/Chrom(?:e|ium)\//.test(agent)
