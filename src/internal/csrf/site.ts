/**
 * Where a request comes from, according to the browser: `Sec-Fetch-Site` (W3C Fetch Metadata), or else `Origin`. Pages can't set
 * either of them.
 */
import type { Settings } from "../../SessionConfig.ts"
import { isLocal } from "../http/localhost.ts"

/** Why a request is refused, `undefined` if it may pass, or that the browser does not say. */
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
    // The user typed the address or used a bookmark.
    case "none":
      return undefined
    case "same-site":
      return sameSite === "allow" ? undefined : "same-site"
    case "cross-site":
      return "cross-site"
    // Values that the specification does not list are ignored, and so is a header that a proxy has removed.
    default:
      return origin === undefined ? "unknown" : isOwn(origin, headers, settings) ? undefined : "origin"
  }
}

/** Whether the client says where its requests come from, and will do so for the next one too. */
export const tells = (headers: Headers): boolean => headers["sec-fetch-site"] !== undefined

/** Whether the origin is the server's, as far as the request shows. `null` never matches. */
const isOwn = (origin: string, headers: Headers, { cookie, csrf }: Settings): boolean => {
  const page = parse(origin)
  if (page === undefined) return false
  // Without a port, the origin has the default one of its scheme.
  const server = parse(`${page.protocol}//${hostOf(headers, csrf.forwarded)}`)
  if (server?.host !== page.host) return false
  const scheme = csrf.forwarded ? firstOf(headers["x-forwarded-proto"]) : undefined
  if (scheme !== undefined) return page.protocol === `${scheme.toLowerCase()}:`
  // A proxy may terminate TLS, but a Secure cookie implies TLS: a page without TLS may have been written by anyone on the
  // network.
  return !cookie.secure || page.protocol === "https:" || isLocal(page.hostname)
}

// Browsers send the Origin in lower case without credentials or a path. A Host that has them is invalid.
const parse = (text: string): URL | undefined => shape.test(text) && URL.canParse(text) ? new URL(text) : undefined

const shape = /^https?:\/\/[\w.:[\]-]+$/

const hostOf = (headers: Headers, forwarded: boolean): string | undefined =>
  (forwarded ? firstOf(headers["x-forwarded-host"]) : undefined) ?? headers["host"] ?? headers[":authority"]

/** The value that the first of several proxies saw. */
const firstOf = (list: string | undefined): string | undefined => list?.split(",", 1)[0]!.trim() || undefined
