/**
 * The cookies of a client, as a browser keeps them. Domain, path, and life are Effect's `Cookies`; what those leave out of
 * RFC 6265bis is here: secure origins, prefixes, sizes, and SameSite.
 */
import * as Duration from "effect/Duration"
import * as Cookies from "effect/http/Cookies"
import * as Result from "effect/Result"

/** The cookies that a client holds. */
export type Jar = ReadonlyArray<Cookies.Cookie>

/** The jar with the cookie of a Set-Cookie header, or why a browser refuses it. */
export const receive = (jar: Jar, url: URL, header: string, now: number): Result.Result<Jar, string> => {
  const [cookie] = Object.values(Cookies.fromSetCookie(header).cookies)
  if (cookie === undefined) return Result.fail("it has no name that a cookie can have")
  const address = addressOf(url)
  const refusal = refusalOf(cookie, address) ?? overwritesSecure(jar, cookie, address, now)
  if (refusal !== undefined) return Result.fail(refusal)
  const isTaken = hasExpired(cookie, now) || merged([], cookie, address, now).length > 0
  return isTaken
    ? Result.succeed(merged(jar, cookie, address, now))
    : Result.fail(`its Domain ${cookie.options?.domain} is not one of ${url.hostname}`)
}

/** The Cookie header for a request: of the server's own page, or of that of another origin. */
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

/** What `Clear-Site-Data` leaves: where it says so, no cookie of the site (W3C Clear Site Data). */
export const withoutSiteData = (jar: Jar, url: URL, header: string | undefined): Jar =>
  header !== undefined && /"(?:cookies|\*)"/.test(header) && isTrustworthy(url)
    ? jar.filter(({ options }) => domainOf(options!.domain!) !== domainOf(url.hostname))
    : jar

/** What closing the browser leaves. */
export const withoutSessionCookies = (jar: Jar): Jar => jar.filter(({ options }) => options?.expires !== undefined)

/** Without those whose time is over. */
export const alive = (jar: Jar, now: number): Jar => jar.filter((cookie) => !hasExpired(cookie, now))

/**
 * What a page of one origin is to another, as in Sec-Fetch-Site. The list of public suffixes is not known here: a site is
 * two labels.
 */
export const siteOf = (from: URL, to: URL): "same-origin" | "same-site" | "cross-site" => {
  if (from.origin === to.origin) return "same-origin"
  return from.protocol === to.protocol && domainOf(from.hostname) === domainOf(to.hostname) ? "same-site" : "cross-site"
}

const domainOf = (hostname: string): string =>
  /^[\d.]+$|^\[/.test(hostname) ? hostname : hostname.split(".").slice(-2).join(".")

/** Whether browsers trust the connection to it: https, and this machine (W3C Secure Contexts). */
export const isTrustworthy = ({ hostname, protocol }: URL): boolean =>
  protocol === "https:" || /^(?:(?:.+\.)?localhost|127(?:\.\d+){3}|\[::1\])$/.test(hostname)

/** With https, where the connection is as good. */
const addressOf = (url: URL): URL => {
  const address = new URL(url)
  if (isTrustworthy(url)) address.protocol = "https:"
  return address
}

/** The form or the link of another site: a navigation, which takes cookies that are Lax along if it is safe. */
const crosses = ({ options }: Cookies.Cookie, method: string): boolean =>
  options?.sameSite === "none" ||
  options?.sameSite !== "strict" && (method === "GET" || method === "HEAD")

const refusalOf = ({ name, options = {}, valueEncoded }: Cookies.Cookie, { protocol }: URL): string | undefined => {
  const size = Buffer.byteLength(name) + Buffer.byteLength(valueEncoded)
  const prefix = /^__(?:host-http-|host-|http-|secure-)/i.exec(name)?.[0].toLowerCase() ?? ""
  if (size > 4096) return `its name and value take ${size} bytes, and no more than 4,096 are allowed`
  if (options.secure && protocol !== "https:") return "it is Secure, and the connection is plain http"
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

/** Nobody on the way may take the place of a cookie that came over TLS. */
const overwritesSecure = (jar: Jar, { name }: Cookies.Cookie, address: URL, now: number): string | undefined => {
  const secure = jar.filter((cookie) => cookie.name === name && cookie.options?.secure)
  const isInTheWay = address.protocol !== "https:" &&
    Cookies.toRequestCookieHeader(secure, `https://${address.host}${address.pathname}`, now) !== undefined
  return isInTheWay ? "there is a Secure cookie of its name" : undefined
}

const merged = (jar: Jar, cookie: Cookies.Cookie, address: URL, now: number): Jar =>
  Cookies.mergeIntoArray(jar, address.href, Cookies.fromIterable([cookie]), now)

const hasExpired = ({ options: { expires, maxAge } = {} }: Cookies.Cookie, now: number): boolean =>
  maxAge === undefined
    ? expires !== undefined && expires.getTime() <= now
    : Duration.toMillis(Duration.fromInputUnsafe(maxAge)) <= 0
