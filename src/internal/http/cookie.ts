/**
 * Finds the cookie in a request, and creates Set-Cookie headers. The capacity of a cookie is in token/capacity.ts.
 *
 * The rules are those of RFC 6265bis: name and value together take at most 4,096 bytes, an attribute at most 1,024, and
 * a cookie lives for at most 400 days.
 */
import * as Duration from "effect/Duration"
import * as Cookies from "effect/http/Cookies"
import type { Mutable } from "effect/Types"
import type { Settings } from "../../SessionConfig.ts"
import { SessionTooLargeError } from "../../SessionError.ts"
import type { Persistence } from "../record/lifetime.ts"
import { endOfTime } from "../record/record.ts"
import type { Presented } from "../request/requestSession.ts"
import type { Outgoing } from "../request/state.ts"
import * as Capacity from "../token/capacity.ts"

const maximumAge = 400 * 86_400_000

export interface SessionCookie {
  readonly read: (header: string | undefined) => Presented
  readonly write: (
    token: string,
    expiresAt: number,
    now: number,
    header: string | undefined,
    /** Defaults to the configuration. */
    persistence?: Persistence
  ) => ReadonlyArray<Cookies.Cookie>
  readonly clear: (header: string | undefined) => ReadonlyArray<Cookies.Cookie>
  /** The Cookie header of a client with the maximum number of session cookies. */
  readonly all: string
}

/** The cookies to set and to clear. */
export const toClient = (
  cookie: SessionCookie,
  outgoing: Outgoing,
  now: number,
  header: string | undefined
): ReadonlyArray<Cookies.Cookie> =>
  outgoing._tag === "Clear"
    ? cookie.clear(header)
    : cookie.write(outgoing.token.text, outgoing.expiresAt, now, header, outgoing.persistence)

/** The value of a Set-Cookie header. */
export const toHeader: (cookie: Cookies.Cookie) => string = Cookies.serializeCookie

export const make = (settings: Settings["cookie"]): SessionCookie => {
  const names = Array.from({ length: settings.chunks }, (_, index) => Capacity.chunkName(settings.name, index))
  const largest = Capacity.ofToken(settings)
  const attributes: Attributes = {
    path: settings.path,
    domain: settings.domain,
    httpOnly: settings.httpOnly,
    secure: settings.secure,
    sameSite: settings.sameSite,
    partitioned: settings.partitioned
  }
  const expired: Attributes = { ...attributes, maxAge: 0, expires: new Date(0) }

  // Most cookies live as long as the previous one, so their attributes are reused.
  let latest = attributes
  let latestSeconds: number | undefined

  const lifetime = (expiresAt: number, now: number, persistence: Persistence): Attributes => {
    if (persistence === "browser") return attributes
    const milliseconds = expiresAt === endOfTime ? maximumAge : Math.min(expiresAt - now, maximumAge)
    // Rounded up to whole seconds: rounded down, most cookies would expire a second before their sessions.
    const seconds = Math.max(0, Math.ceil(milliseconds / 1000))
    if (seconds !== latestSeconds) {
      latest = { ...attributes, maxAge: Duration.seconds(seconds) }
      latestSeconds = seconds
    }
    return latest
  }

  const expire = (name: string) => Cookies.makeCookieUnsafe(name, "", expired)

  // Otherwise, chunks of an earlier, longer token would stay in the browser.
  const expireFrom = (index: number, header: string | undefined): ReadonlyArray<Cookies.Cookie> =>
    index === names.length
      ? []
      : names.slice(index).filter((name) => valueOf(header, name) !== undefined).map(expire)

  return {
    read: (header) => {
      let token = ""
      for (const name of names) {
        const value = valueOf(header, name)
        if (value === undefined) break
        if (value === contradictory) return duplicate
        token += value
        // Only a full cookie is continued by the next one, so the client does not control the count.
        if (value.length < roomIn(name)) break
      }
      // One character more than the maximum, so that no decoder has to read the rest of a megabyte.
      return token === "" ? nothing : { _tag: "Token", token: token.slice(0, largest + 1) }
    },
    write: (token, expiresAt, now, header, persistence = settings.persistence) => {
      if (token.length > largest) {
        throw new SessionTooLargeError({ driver: "custom", size: token.length, limit: largest })
      }
      const options = lifetime(expiresAt, now, persistence)
      const cookies = [cookieOf(settings.name, token.slice(0, roomIn(settings.name)), options)]
      let offset = roomIn(settings.name)
      for (let index = 1; offset < token.length; index++) {
        const name = names[index]!
        cookies.push(cookieOf(name, token.slice(offset, offset + roomIn(name)), options))
        offset += roomIn(name)
      }
      return cookies.length === names.length ? cookies : [...cookies, ...expireFrom(cookies.length, header)]
    },
    clear: (header) => [expire(names[0]!), ...expireFrom(1, header)],
    all: names.map((name) => `${name}=`).join("; ")
  }
}

const nothing: Presented = { _tag: "None" }
const duplicate: Presented = { _tag: "Duplicate" }

/** The maximum size of the value of a cookie with this name, in bytes. */
const roomIn = (name: string): number => Capacity.ofCookie - name.length

type Attributes = NonNullable<Cookies.Cookie["options"]>

/**
 * Like `Cookies.makeCookieUnsafe`, which allocates 650 of its 770 bytes to encode a token that needs no encoding. The
 * settings have already been checked.
 */
const cookieOf = (name: string, value: string, options: Attributes): Cookies.Cookie => {
  if (!isPlain.test(value)) return Cookies.makeCookieUnsafe(name, value, options)
  const cookie = Object.create(prototype) as Mutable<Cookies.Cookie>
  cookie.name = name
  cookie.value = value
  cookie.valueEncoded = value
  cookie.options = options
  return cookie
}

const prototype: object = Object.getPrototypeOf(Cookies.makeCookieUnsafe("name", "value"))

/** Characters that need no encoding; all tokens of this library consist of them. */
const isPlain = /^[\w.~-]*$/

/**
 * The value of a name in a Cookie header, or the fact that there are several. `Cookies.parseHeader` keeps the first of
 * two values, which would hide duplicates, and takes 1.6 times as long for three cookies.
 */
const valueOf = (header: string | undefined, name: string): string | typeof contradictory | undefined => {
  let found: string | undefined
  if (header === undefined) return found
  for (let index = header.indexOf(name); index !== -1; index = header.indexOf(name, index + name.length)) {
    if (!startsPair(header, index)) continue
    const equals = skipSpaces(header, index + name.length)
    if (header[equals] !== "=") continue
    const end = header.indexOf(";", equals)
    const value = unquoted(header.slice(equals + 1, end === -1 ? undefined : end).trim())
    if (found !== undefined && found !== value) return contradictory
    found = value
  }
  return found
}

const contradictory: unique symbol = Symbol("contradictory")

/** A value may stand in quotes (RFC 6265, section 4.1.1), which some clients and proxies add. */
const unquoted = (value: string): string =>
  value.length > 1 && value.startsWith("\"") && value.endsWith("\"") ? value.slice(1, -1) : value

const startsPair = (header: string, index: number): boolean => {
  let before = index - 1
  while (before >= 0 && (header[before] === " " || header[before] === "\t")) before--
  return before < 0 || header[before] === ";"
}

const skipSpaces = (header: string, index: number): number => {
  while (header[index] === " " || header[index] === "\t") index++
  return index
}
