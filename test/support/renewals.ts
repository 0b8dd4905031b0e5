/**
 * What is committed at once, on two servers that share a store: a renewal of a value, and tries of a value.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { Session, type SessionError, SessionKey } from "effect-session"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { startOAuth } from "./oauthServer.ts"
import { cookieOf, type Routes, serve, type Server, type StoreLayer } from "./server.ts"
import { refresh, renewing, tokenRoutes } from "./tokens.ts"

const Code = SessionKey.make("code", Schema.String).pipe(SessionKey.attempts(3), SessionKey.expires("10 minutes"))

/** Registers the tests. Each call of `store` makes the one of another server. */
export const renewals = (name: string, store: () => StoreLayer): void => {
  /** Half of the requests go to each. */
  const twoServers = Effect.fnUntraced(function*(routes: Routes) {
    const servers = yield* Effect.replicateEffect(
      Effect.suspend(() => serve(routes, { store: store(), logger: false })),
      2
    )
    const all = (
      count: number,
      ask: (server: Server, index: number) => Effect.Effect<{ readonly body: string }, Error>
    ) =>
      Effect.map(
        Effect.forEach(
          Array.from({ length: count }, (_, index) => index),
          (index) => ask(servers[index % 2]!, index),
          { concurrency: "unbounded" }
        ),
        (answers) => tally(answers.map(({ body }) => body))
      )
    return { all, server: servers[0]! }
  })

  describe(`on two servers, with ${name}`, () => {
    it.live(
      "100 requests find that a secret must be renewed: one does it, and all have the new one",
      () =>
        Effect.gen(function*() {
          const oauth = yield* startOAuth
          const upstream = oauth.holdsNext()
          let found = 0
          const tokens = renewing(refresh(oauth.url), {
            // The answer comes when all of them have found so.
            onDue: () => {
              if (++found === 100) Effect.runSync(upstream.release)
            }
          })
          const { all, server } = yield* twoServers(tokenRoutes(tokens))
          const cookie = cookieOf(yield* server.post(`/tokens/${oauth.issue()}`))
          const answers = yield* all(100, ({ get }) => get("/tokens", { cookie }))
          assert.deepStrictEqual(answers, { "family1.1": 100 })
          assert.strictEqual(oauth.newRequests(), 1)
        }),
      60_000
    )

    it.live("200 guesses at a code: three are tried", () =>
      Effect.gen(function*() {
        let tried = 0
        const { all, server } = yield* twoServers(Layer.mergeAll(
          HttpRouter.add("POST", "/code", Effect.as(Session.put(Code, "1199"), HttpServerResponse.empty())),
          HttpRouter.add(
            "POST",
            "/try/:code",
            Effect.gen(function*() {
              const { code } = yield* HttpRouter.params
              const isRight = yield* Session.attempt(Code, (right) =>
                Effect.as(Effect.sync(() => tried++), right === code))
              return HttpServerResponse.text(String(isRight))
            }).pipe(
              Effect.catchTag(
                "SessionAttemptsError",
                ({ reason }: SessionError.SessionAttemptsError) =>
                  Effect.succeed(HttpServerResponse.text(reason))
              )
            )
          )
        ))
        const cookie = cookieOf(yield* server.post("/code"))
        const answers = yield* all(200, ({ post }, index) => post(`/try/${1200 + index}`, { cookie }))
        assert.strictEqual(tried, 3)
        assert.deepStrictEqual(answers, { exhausted: 198, false: 2 })
        assert.deepStrictEqual(yield* all(2, ({ post }) => post("/try/1199", { cookie })), { exhausted: 2 })
      }), 60_000)
  })
}

const tally = (values: ReadonlyArray<string>): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1
  return counts
}
