/**
 * Set-Cookie headers that a request has earned before its handler runs.
 */
import { Cookies, HttpServerResponse } from "effect/http"

/** The Cookie header of a browser that has got these Set-Cookie headers already. */
export const received = (header: string | undefined, setCookie: ReadonlyArray<string>): string => {
  const pairs = setCookie.map((text) => text.split(";", 1)[0]!)
  const names = new Set(pairs.map(nameOf))
  const others = (header ?? "").split(";").map((pair) => pair.trim()).filter((pair) => !names.has(nameOf(pair)))
  return [...pairs.filter((pair) => !pair.endsWith("=")), ...others].filter((pair) => pair !== "").join("; ")
}

const nameOf = (pair: string): string => pair.split("=", 1)[0]!.trim()

/** The response with these headers, but for cookies that it sets itself, as a login does. No cache may keep it. */
export const withSetCookie = (
  response: HttpServerResponse.HttpServerResponse,
  setCookie: ReadonlyArray<string>
): HttpServerResponse.HttpServerResponse =>
  setCookie.length === 0 ? response : response.pipe(
    HttpServerResponse.updateCookies((own) => Cookies.merge(Cookies.fromSetCookie(setCookie), own)),
    HttpServerResponse.setHeader("cache-control", "no-store")
  )
