/**
 * A server in a process of its own, which renews tokens and stops at a step, so that it can be killed there. It says by lines where
 * it is: its URL, and then the step.
 */
import { Effect } from "effect"
import { RedisLayer } from "effect-session"
import { writeSync } from "node:fs"
import { serve } from "./server.ts"
import { refresh, renewing, tokenRoutes } from "./tokens.ts"

export interface Job {
  readonly redis: string
  readonly oauth: string
  readonly lease: "1 second"
  readonly stopsAt: Step
}

/** With the lease and before the upstream is asked; while it is asked; with its answer; when that is committed. */
export type Step = "leased" | "asking" | "answered" | "committed"

const { lease, oauth, redis, stopsAt } = JSON.parse(process.argv[2]!) as Job

const say = (line: string) => Effect.sync(() => writeSync(1, `${line}\n`))

const at = (step: Step) => stopsAt === step ? Effect.andThen(say(step), Effect.never) : Effect.void

const tokens = renewing(
  (token) => Effect.andThen(at("leased"), Effect.tap(refresh(oauth)(token), () => at("answered"))),
  { lease }
)

const main = Effect.gen(function*() {
  const routes = tokenRoutes(Effect.tap(tokens, () => at("committed")))
  const { url } = yield* serve(routes, { store: RedisLayer.layer({ url: redis }), logger: false })
  yield* say(url)
  return yield* Effect.never
})

Effect.runFork(Effect.scoped(main))
