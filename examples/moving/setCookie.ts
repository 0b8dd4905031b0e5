/**
 * Set-Cookie headers that are decided before a request's handler runs.
 */
import { Cookies, HttpServerResponse } from "effect/http"

/** The Cookie header of a browser after it has received these Set-Cookie headers. */
export const received = (header: string | undefined, setCookie: ReadonlyArray<string>): string => {
  const pairs = setCookie.map((text) => text.split(";", 1)[0]!)
  const names = new Set(pairs.map(nameOf))
  const others = (header ?? "").split(";").map((pair) => pair.trim()).filter((pair) => !names.has(nameOf(pair)))
  return [...pairs.filter((pair) => !pair.endsWith("=")), ...others].filter((pair) => pair !== "").join("; ")
}

const nameOf = (pair: string): string => pair.split("=", 1)[0]!.trim()

/** The response with these headers, except for cookies that it sets itself, as a login does. No cache may store it. */
export const withSetCookie = (
  response: HttpServerResponse.HttpServerResponse,
  setCookie: ReadonlyArray<string>
): HttpServerResponse.HttpServerResponse =>
  setCookie.length === 0 ? response : response.pipe(
    HttpServerResponse.updateCookies((own) => Cookies.merge(Cookies.fromSetCookie(setCookie), own)),
    HttpServerResponse.setHeader("cache-control", "no-store")
  )
