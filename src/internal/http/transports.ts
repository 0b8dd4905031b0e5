/**
 * How a request can present its session, in the order of the settings, and where the client gets another token: in the
 * cookie, or in a header.
 */
import type { Settings, Transport } from "../../SessionConfig.ts"
import type { Presented } from "../request/requestSession.ts"
import * as Capacity from "../token/capacity.ts"
import * as Cookie from "./cookie.ts"
import * as PlainHttp from "./plainHttp.ts"

interface Headers {
  readonly [name: string]: string | undefined
}

/** What a request presents, and how: nothing that contradicts itself. */
export interface Shown {
  readonly presented: Presented
  /** The first one that it is presented by. */
  readonly transport: Transport | undefined
}

export interface Transports {
  readonly cookie: Cookie.SessionCookie
  readonly read: (headers: Headers) => Shown
  /** The headers that what is shown depends on. */
  readonly vary: ReadonlyArray<string>
  /** Whether clients that are no browsers are expected. */
  readonly areSeveral: boolean
  /** The header that another token goes out in. */
  readonly header: string
  /** How a client that has shown nothing gets its token. */
  readonly first: Transport
  /** Looks, in development, whether the browser will drop the cookie. */
  readonly plainHttp: PlainHttp.Notice | undefined
}

type Read = (headers: Headers) => Presented

/** Made once for the settings. */
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

// One character more than can be, and no decoder has to look at the rest of a megabyte.
const presenting = (text: string | undefined, longest: number): Presented =>
  text === undefined || text === "" ? none : { _tag: "Token", token: text.slice(0, longest + 1) }

/** What another scheme has in it, such as Basic, is for somebody else (RFC 9110, section 11.4; RFC 6750, section 2.1). */
const credentialsIn = (authorization: string | undefined): string | undefined =>
  authorization !== undefined && scheme.test(authorization) ? authorization.slice("bearer ".length).trim() : undefined

const scheme = /^bearer /i

const contradict = (one: Presented, other: Presented): boolean =>
  one._tag !== "Token" || other._tag !== "Token" || one.token !== other.token
