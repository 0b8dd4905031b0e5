/**
 * The cookies of a client, kept like in a browser. Domain, path and expiry use Effect's `Cookies`; the rest of RFC
 * 6265bis is here: secure origins, prefixes, sizes, and SameSite.
 */
import * as Duration from "effect/Duration"
import * as Cookies from "effect/http/Cookies"
import * as Result from "effect/Result"
import { isLocal } from "../http/localhost.ts"

/** The cookies that a client holds. */
export type Jar = ReadonlyArray<Cookies.Cookie>

/** The jar with the cookie of a Set-Cookie header, or the reason why a browser rejects it. */
export const receive = (jar: Jar, url: URL, header: string, now: number): Result.Result<Jar, string> => {
  const [cookie] = Object.values(Cookies.fromSetCookie(header).cookies)
  if (cookie === undefined) return Result.fail("it has no valid cookie name")
  const address = addressOf(url)
  const refusal = refusalOf(cookie, address) ?? overwritesSecure(jar, cookie, address, now)
  if (refusal !== undefined) return Result.fail(refusal)
  const isTaken = hasExpired(cookie, now) || merged([], cookie, address, now).length > 0
  return isTaken
    ? Result.succeed(merged(jar, cookie, address, now))
    : Result.fail(`its Domain ${cookie.options?.domain} does not match ${url.hostname}`)
}

/** The Cookie header for a request from the server's own page, or from a page of another origin. */
export const toSend = (
  jar: Jar,
  url: URL,
  now: number,
  { method, page }: { readonly method: string; readonly page: URL | undefined } = { method: "GET", page: undefined }
): string | undefined => {
  const isCrossSite = page !== undefined && siteOf(page, url) === "cross-site"
  const sent = isCrossSite ? jar.filter((cookie) => crosses(cookie, method)) : jar
  return Cookies.toRequestCookieHeader(sent, addressOf(url).href, now)
}

/** The cookies left after `Clear-Site-Data` (W3C Clear Site Data). */
export const withoutSiteData = (jar: Jar, url: URL, header: string | undefined): Jar =>
  header !== undefined && /"(?:cookies|\*)"/.test(header) && isTrustworthy(url)
    ? jar.filter(({ options }) => domainOf(options!.domain!) !== domainOf(url.hostname))
    : jar

/** The cookies left after closing the browser. */
export const withoutSessionCookies = (jar: Jar): Jar => jar.filter(({ options }) => options?.expires !== undefined)

/** Without expired cookies. */
export const alive = (jar: Jar, now: number): Jar => jar.filter((cookie) => !hasExpired(cookie, now))

/**
 * The relation of two origins, as in Sec-Fetch-Site. Without the public suffix list, a site is simply the last two
 * labels.
 */
export const siteOf = (from: URL, to: URL): "same-origin" | "same-site" | "cross-site" => {
  if (from.origin === to.origin) return "same-origin"
  return from.protocol === to.protocol && domainOf(from.hostname) === domainOf(to.hostname) ? "same-site" : "cross-site"
}

const domainOf = (hostname: string): string =>
  /^[\d.]+$|^\[/.test(hostname) ? hostname : hostname.split(".").slice(-2).join(".")

/** Whether browsers treat the origin as secure: https, and this machine (W3C Secure Contexts). */
export const isTrustworthy = ({ hostname, protocol }: URL): boolean => protocol === "https:" || isLocal(hostname)

/** With https if the connection counts as secure. */
const addressOf = (url: URL): URL => {
  const address = new URL(url)
  if (isTrustworthy(url)) address.protocol = "https:"
  return address
}

/** A form or link on another site: a navigation, which sends Lax cookies if its method is safe. */
const crosses = ({ options }: Cookies.Cookie, method: string): boolean =>
  options?.sameSite === "none" ||
  options?.sameSite !== "strict" && (method === "GET" || method === "HEAD")

const refusalOf = ({ name, options = {}, valueEncoded }: Cookies.Cookie, { protocol }: URL): string | undefined => {
  const size = Buffer.byteLength(name) + Buffer.byteLength(valueEncoded)
  const prefix = /^__(?:host-http-|host-|http-|secure-)/i.exec(name)?.[0].toLowerCase() ?? ""
  if (size > 4096) return `its name and value are ${size} bytes, and at most 4,096 are allowed`
  if (options.secure && protocol !== "https:") return "it is Secure, but the connection is plain http"
  if (!options.secure) {
    if (prefix !== "") return `its prefix ${name.slice(0, prefix.length)} needs Secure`
    if (options.sameSite === "none") return "SameSite=None needs Secure"
    if (options.partitioned) return "Partitioned needs Secure"
  }
  if (prefix.startsWith("__host-") && (options.domain !== undefined || options.path !== "/")) {
    return `its prefix ${name.slice(0, prefix.length)} needs Path=/ and no Domain`
  }
  if (prefix.endsWith("http-") && !options.httpOnly) return `its prefix ${name.slice(0, prefix.length)} needs HttpOnly`
  return undefined
}

/** An attacker on the network must not replace a cookie that was set over TLS. */
const overwritesSecure = (jar: Jar, { name }: Cookies.Cookie, address: URL, now: number): string | undefined => {
  const secure = jar.filter((cookie) => cookie.name === name && cookie.options?.secure)
  const isInTheWay = address.protocol !== "https:" &&
    Cookies.toRequestCookieHeader(secure, `https://${address.host}${address.pathname}`, now) !== undefined
  return isInTheWay ? "a Secure cookie of the same name exists" : undefined
}

const merged = (jar: Jar, cookie: Cookies.Cookie, address: URL, now: number): Jar =>
  Cookies.mergeIntoArray(jar, address.href, Cookies.fromIterable([cookie]), now)

const hasExpired = ({ options: { expires, maxAge } = {} }: Cookies.Cookie, now: number): boolean =>
  maxAge === undefined
    ? expires !== undefined && expires.getTime() <= now
    : Duration.toMillis(Duration.fromInputUnsafe(maxAge)) <= 0
