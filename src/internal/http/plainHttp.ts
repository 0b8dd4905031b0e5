/**
 * In development, the mistake that nothing else shows: the cookie is `Secure`, the page is on plain http, and so the browser
 * drops the cookie without a word. The server sees only new clients.
 */
import type { Settings } from "../../SessionConfig.ts"
import { isProduction } from "../request/production.ts"
import { isLocal } from "./localhost.ts"

interface Headers {
  readonly [name: string]: string | undefined
}

/** Says of one request, and no other after it, that its browser drops the cookie. */
export type Notice = (headers: Headers) => boolean

/** There is nothing to notice in production, nor without `Secure`. */
export const make = ({ cookie }: Settings): Notice | undefined => {
  if (!cookie.secure || isProduction()) return undefined
  let hasNoticed = false
  return (headers) => !hasNoticed && (hasNoticed = isDropped(headers))
}

export const message = "The browser drops the session's cookie: it is Secure, and the page is on plain http. " +
  "Set cookie.secure (SESSION_COOKIE_SECURE) to false in development, or serve the page over https"

/**
 * Browsers send `Sec-Fetch-Site` to https and to localhost only, and these are the pages whose `Secure` cookies they keep. Safari
 * sends it from localhost, but drops the cookie: there, only a page that says its address tells that it is not on https.
 */
const isDropped = (headers: Headers): boolean => {
  const { host = "", "user-agent": agent = "" } = headers
  // Behind a proxy, the server can't know what the browser talks.
  if (!agent.startsWith("Mozilla/") || proxied.some((name) => headers[name] !== undefined)) return false
  if (headers["sec-fetch-site"] === undefined && !isLocal(host.replace(/:\d+$/, ""))) return true
  return isSafari(agent) && (headers["origin"] ?? headers["referer"] ?? "").startsWith(`http://${host}`)
}

const proxied = ["forwarded", "x-forwarded-for", "x-forwarded-proto", "via"]

/** Others name Safari, too. */
const isSafari = (agent: string): boolean => agent.includes("Safari/") && !/Chrom(?:e|ium)\//.test(agent)
