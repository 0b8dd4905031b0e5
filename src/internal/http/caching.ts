/**
 * What caches between the server and its clients may store, so that no client gets a response made for another (RFC
 * 9111; OWASP ASVS 5.0, V14.2.2 and V14.3.2).
 */
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Headers from "./headers.ts"

type Response = HttpServerResponse.HttpServerResponse

/** Adds these headers to the `Vary` of the response. */
export const varying = (response: Response, headers: ReadonlyArray<string>): Response => {
  const vary = varyOf(response, headers)
  return vary === Headers.valueOf(response, "vary") ? response : Headers.draftWith(response, "vary", vary)
}

/** The resulting value of Vary. */
export const varyOf = (response: Response, headers: ReadonlyArray<string>): string => {
  const vary = Headers.valueOf(response, "vary")
  if (vary === undefined || vary.trim() === "") return headers.join(", ")
  const names = vary.toLowerCase().split(",").map((name) => name.trim())
  return names.includes("*")
    ? vary
    : [vary, ...headers.filter((header) => !names.includes(header.toLowerCase()))].join(", ")
}

/**
 * Whether the application lets shared caches reuse the response. A response that must be validated before each use and
 * is not `public` does not count, although a cache may store it.
 */
export const isShared = (response: Response, now: number): boolean => {
  if (targetedIn(response).length > 0) return true
  const said = Headers.valueOf(response, "cache-control")
  if (said === undefined) return expiryOf(response) > now
  const directives = directivesIn(said)
  if (isForOneClient(directives)) return false
  if (has(directives, "public") || has(directives, "immutable")) return true
  const age = argumentOf(directives, "s-maxage") ?? argumentOf(directives, "max-age")
  if (age !== undefined) return Number(age) !== 0
  return expiryOf(response) > now
}

/** An invalid date, such as 0, means expired (RFC 9111, section 5.3). */
const expiryOf = (response: Response): number => {
  const expires = Headers.valueOf(response, "expires") ?? ""
  return expires.includes(":") ? Date.parse(expires) : Number.NaN
}

/**
 * A copy of the response that only its client may store, because it sets a cookie. The application's other directives
 * stay.
 */
export const forOneClient = (response: Response): Headers.Draft => {
  const draft = Headers.draftWith(response, "cache-control", privately(response))
  for (const name of targetedIn(response)) draft.headers[name] = name === accelExpires ? "0" : "no-store"
  return draft
}

/** The resulting value of Cache-Control. */
const privately = (response: Response): string => {
  const said = Headers.valueOf(response, "cache-control")
  if (said === undefined) return Headers.valueOf(response, "expires") === undefined ? "no-store" : "private"
  const directives = directivesIn(said)
  if (isForOneClient(directives)) return said
  const kept = directives.filter(({ name }) => !forShared.has(name)).map(({ text }) => text)
  return [...kept, "private"].join(", ")
}

// Some caches treat `private` with field names like one without, others apply it only to those fields.
const forShared = new Set(["public", "s-maxage", "private", "must-understand", "proxy-revalidate"])

// -----------------------------------------------------------------------------
// Cache-Control
// -----------------------------------------------------------------------------

interface Directive {
  readonly name: string
  readonly argument: string | undefined
  readonly text: string
}

const directivesIn = (header: string): ReadonlyArray<Directive> =>
  [...header.matchAll(directive)].map(([text, name, argument]) => ({
    name: name!.toLowerCase(),
    argument: argument?.replace(/^"(.*)"$/, "$1"),
    text
  }))

const directive = /([^\s,="]+)(?:=("[^"]*"|[^\s,]*))?/g

const has = (directives: ReadonlyArray<Directive>, wanted: string): boolean =>
  directives.some(({ name }) => name === wanted)

const argumentOf = (directives: ReadonlyArray<Directive>, wanted: string): string | undefined =>
  directives.find(({ name }) => name === wanted)?.argument

/** A cache that understands the status may ignore `no-store` beside `must-understand` (RFC 9111, section 5.2.2.3). */
const isForOneClient = (directives: ReadonlyArray<Directive>): boolean =>
  directives.some(({ argument, name }) =>
    name === "private" && argument === undefined || name === "no-store" && !has(directives, "must-understand")
  )

// -----------------------------------------------------------------------------
// headers for the caches of one vendor or one kind, which come before Cache-Control (RFC 9213)
// -----------------------------------------------------------------------------

const accelExpires = "x-accel-expires"

/** The headers that let such caches store the response. */
const targetedIn = (response: Response): ReadonlyArray<string> => {
  const names = Headers.namesIn(response, isTargeted)
  return names.length === 0 ? names : names.filter((name) => letsStore(name, Headers.valueOf(response, name)!))
}

/** `CDN-Cache-Control`, vendor headers, and headers from before RFC 9213. */
const isTargeted = (name: string): boolean =>
  name.endsWith("-cache-control") || name === "surrogate-control" || name === "edge-control" || name === accelExpires

const letsStore = (name: string, value: string): boolean => {
  if (name === accelExpires) return Number(value) !== 0
  const directives = directivesIn(value)
  return directives.length > 0 && !isForOneClient(directives) && !has(directives, "!no-store") &&
    !has(directives, "bypass-cache")
}
