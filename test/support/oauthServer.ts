/**
 * A server that gives out tokens as those of OAuth 2.0 do (RFC 9700, 4.14.2): each refresh token is good for one use, and if one is
 * used again, none of its family is good any more.
 */
import { Deferred, Effect, type Scope } from "effect"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import type { Gate } from "./routes.ts"

export interface OAuthServer {
  readonly url: string
  /** A first refresh token. */
  readonly issue: () => string
  /** How often somebody has asked for new tokens since the last time this was asked. */
  readonly newRequests: () => number
  /** The next request waits, before anything is done for it. */
  readonly holdsNext: () => Gate
  /** From now on each request is answered with 503. */
  readonly fails: () => void
  readonly works: () => void
}

export const startOAuth: Effect.Effect<OAuthServer, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.promise(async () => {
      const families = new Map<string, { valid: string | undefined; count: number }>()
      let requests = 0
      let isFailing = false
      let hold = Effect.void as Effect.Effect<unknown>
      const issue = () => {
        const family = `family${families.size + 1}`
        families.set(family, { valid: `${family}.0`, count: 0 })
        return `${family}.0`
      }
      /** The next refresh token of the family; nothing if this one has been used before. */
      const refresh = (token: string): string | undefined => {
        const family = families.get(token.split(".", 1)[0]!)
        if (family?.valid !== token) {
          if (family !== undefined) family.valid = undefined
          return undefined
        }
        return family.valid = token.replace(/\d+$/, String(++family.count))
      }
      const server = createServer((request, response) => {
        requests++
        const before = hold
        hold = Effect.void
        const answer = Effect.sync(() => {
          const next = isFailing ? undefined : refresh(request.url!.slice(1))
          response.writeHead(isFailing ? 503 : next === undefined ? 400 : 200)
          response.end(next)
        })
        Effect.runFork(Effect.andThen(before, answer))
      })
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
      const oauth: OAuthServer = {
        url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        issue,
        newRequests: () => {
          const since = requests
          requests = 0
          return since
        },
        holdsNext: () => {
          const reached = Deferred.makeUnsafe<void>()
          const released = Deferred.makeUnsafe<void>()
          hold = Effect.andThen(Deferred.succeed(reached, undefined), Deferred.await(released))
          return {
            reached: Deferred.await(reached),
            release: Effect.asVoid(Deferred.succeed(released, undefined))
          }
        },
        fails: () => void (isFailing = true),
        works: () => void (isFailing = false)
      }
      return { oauth, server }
    }),
    ({ server }) =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  ),
  ({ oauth }) => oauth
)
