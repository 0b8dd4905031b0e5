/**
 * Where a request comes from, by the word of the browser: `Sec-Fetch-Site` (W3C Fetch Metadata), or else `Origin`. No page
 * can set either of them.
 */
import type { Settings } from "../../SessionConfig.ts"
import { isLocal } from "../http/localhost.ts"

/** Why a request is refused; nothing, if it may pass; or that the browser does not say. */
export type Verdict = "cross-site" | "same-site" | "origin" | undefined | "unknown"

interface Headers {
  readonly [name: string]: string | undefined
}

export const verdict = (headers: Headers, settings: Settings): Verdict => {
  const { origins, sameSite } = settings.csrf
  const origin = headers["origin"]
  if (origin !== undefined && origins.includes(origin)) return undefined
  switch (headers["sec-fetch-site"]) {
    case "same-origin":
    // Somebody typed the address, or used a bookmark.
    case "none":
      return undefined
    case "same-site":
      return sameSite === "allow" ? undefined : "same-site"
    case "cross-site":
      return "cross-site"
    // What the specification does not list is to be ignored, as is what some proxy has taken out.
    default:
      return origin === undefined ? "unknown" : isOwn(origin, headers, settings) ? undefined : "origin"
  }
}

/** Whether the client says with each request where it comes from, and so will with the next. */
export const tells = (headers: Headers): boolean => headers["sec-fetch-site"] !== undefined

/** Whether the origin is the server's own, as far as the request tells. `null` never matches. */
const isOwn = (origin: string, headers: Headers, { cookie, csrf }: Settings): boolean => {
  const page = parse(origin)
  if (page === undefined) return false
  // Its own port is the usual one of its scheme, if it says none.
  const server = parse(`${page.protocol}//${hostOf(headers, csrf.forwarded)}`)
  if (server?.host !== page.host) return false
  const scheme = csrf.forwarded ? firstOf(headers["x-forwarded-proto"]) : undefined
  if (scheme !== undefined) return page.protocol === `${scheme.toLowerCase()}:`
  // A proxy may have ended TLS, but a cookie that is Secure says that there is TLS: so a page without it is one that
  // anybody on the way can have written.
  return !cookie.secure || page.protocol === "https:" || isLocal(page.hostname)
}

// A browser sends the Origin in lower case and without credentials or a path, and a Host that has them is not valid.
const parse = (text: string): URL | undefined => shape.test(text) && URL.canParse(text) ? new URL(text) : undefined

const shape = /^https?:\/\/[\w.:[\]-]+$/

const hostOf = (headers: Headers, forwarded: boolean): string | undefined =>
  (forwarded ? firstOf(headers["x-forwarded-host"]) : undefined) ?? headers["host"] ?? headers[":authority"]

/** The one that the first of several proxies has seen. */
const firstOf = (list: string | undefined): string | undefined => list?.split(",", 1)[0]!.trim() || undefined
