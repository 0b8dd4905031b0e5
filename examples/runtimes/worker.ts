// worker.ts
import { DurableObject } from "cloudflare:workers"
import { Layer } from "effect"
import { CookieLayer, SessionConfig } from "effect-session"
import { HttpRouter, HttpServer } from "effect/http"
import { Routes } from "./cart.ts"
import * as Revocations from "./revocations.ts"

/** Where ended sessions are remembered: each object has those whose keys begin alike, for all Workers everywhere. */
export class EndedSessions extends DurableObject implements Revocations.Place {
  async get(key: string) {
    return (await this.ctx.storage.get<{ readonly text: string }>(key))?.text ?? null
  }

  async put(key: string, text: string, { expiration = Infinity }: { readonly expiration?: number }) {
    await this.ctx.storage.put(key, { text, expiration })
    if ((await this.ctx.storage.getAlarm()) === null) await this.ctx.storage.setAlarm(Date.now() + 3_600_000)
  }

  async delete(key: string) {
    await this.ctx.storage.delete(key)
  }

  /** Removes what has expired, every hour. */
  async alarm() {
    const entries = await this.ctx.storage.list<{ readonly expiration: number }>()
    for (const [key, { expiration }] of entries) {
      if (expiration * 1000 < Date.now()) await this.ctx.storage.delete(key)
    }
    if (entries.size > 0) await this.ctx.storage.setAlarm(Date.now() + 3_600_000)
  }
}

interface Env {
  readonly ENDED_SESSIONS: DurableObjectNamespace<EndedSessions>
}

const App = ({ ENDED_SESSIONS }: Env) =>
  Routes.pipe(
    Layer.provide(CookieLayer.layerShared),
    Layer.provide(Revocations.layer((key) => ENDED_SESSIONS.getByName(key.slice(0, 2)))),
    Layer.provide(SessionConfig.layerConfig()), // SESSION_SECRET, SESSION_AGE, …
    Layer.provide(HttpServer.layerServices)
  )

let handler: ((request: Request) => Promise<Response>) | undefined

export default {
  // Made at the first request, as there is no randomness and no clock before.
  fetch: (request: Request, env: Env) => (handler ??= HttpRouter.toWebHandler(App(env)).handler)(request)
}
