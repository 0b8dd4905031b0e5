/**
 * How a request presents its session, in the order of the settings, and where the client gets a new token: in the cookie or in a
 * header.
 */
import type { Settings, Transport } from "../../SessionConfig.ts"
import type { Presented } from "../request/requestSession.ts"
import * as Capacity from "../token/capacity.ts"
import * as Cookie from "./cookie.ts"
import * as PlainHttp from "./plainHttp.ts"

interface Headers {
  readonly [name: string]: string | undefined
}

/** What a request presents, and how. Contradicting tokens count as duplicate. */
export interface Shown {
  readonly presented: Presented
  /** The first transport that presents it. */
  readonly transport: Transport | undefined
}

export interface Transports {
  readonly cookie: Cookie.SessionCookie
  readonly read: (headers: Headers) => Shown
  /** The headers that the session depends on. */
  readonly vary: ReadonlyArray<string>
  /** Whether clients other than browsers are expected. */
  readonly areSeveral: boolean
  /** The response header for a new token. */
  readonly header: string
  /** The transport for a client that has presented nothing. */
  readonly first: Transport
  /** Detects, in development, that the browser will drop the cookie. */
  readonly plainHttp: PlainHttp.Notice | undefined
}

type Read = (headers: Headers) => Presented

/** Created once for the settings. */
export const make = (settings: Settings): Transports => {
  const { header: { name: header }, transports } = settings
  const cookie = Cookie.make(settings.cookie)
  const longest = Capacity.ofToken(settings.cookie)
  const reads: { readonly [T in Transport]: Read } = {
    cookie: (headers) => cookie.read(headers["cookie"]),
    bearer: (headers) => presenting(credentialsIn(headers["authorization"]), longest),
    header: (headers) => presenting(headers[header], longest)
  }
  return {
    cookie,
    read: (headers) => {
      let shown = nothing
      for (const transport of transports) {
        const presented = reads[transport](headers)
        if (presented._tag === "None") continue
        if (shown.transport === undefined) shown = { presented, transport }
        else if (contradict(shown.presented, presented)) shown = { ...shown, presented: duplicate }
      }
      return shown
    },
    vary: transports.map((transport) => ({ cookie: "Cookie", bearer: "Authorization", header })[transport]),
    areSeveral: transports.some((transport) => transport !== "cookie"),
    header,
    first: transports.includes("cookie") ? "cookie" : transports[0]!,
    plainHttp: PlainHttp.make(settings)
  }
}

const none: Presented = { _tag: "None" }
const nothing: Shown = { presented: none, transport: undefined }
const duplicate: Presented = { _tag: "Duplicate" }

// One character more than the maximum, so that no decoder has to read the rest of a megabyte.
const presenting = (text: string | undefined, longest: number): Presented =>
  text === undefined || text === "" ? none : { _tag: "Token", token: text.slice(0, longest + 1) }

/** Ignores other schemes, such as Basic (RFC 9110, section 11.4; RFC 6750, section 2.1). */
const credentialsIn = (authorization: string | undefined): string | undefined =>
  authorization !== undefined && scheme.test(authorization) ? authorization.slice("bearer ".length).trim() : undefined

const scheme = /^bearer /i

const contradict = (one: Presented, other: Presented): boolean =>
  one._tag !== "Token" || other._tag !== "Token" || one.token !== other.token
