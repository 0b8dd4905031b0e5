/**
 * Runs in workerd: tries the driver that the path names, and answers with what came of it.
 */
import * as Revocations from "../../examples/runtimes/revocations.ts"
import { EndedSessions } from "../../examples/runtimes/worker.ts"
import { cookie, cookieWith, memory } from "./drivers.ts"
import { runTests } from "./runner.ts"

export { EndedSessions }

interface Env {
  readonly KV: Revocations.Place
  readonly ENDED_SESSIONS: DurableObjectNamespace<EndedSessions>
}

const drivers: Record<string, (env: Env) => void> = {
  memory,
  cookie,
  kv: ({ KV }) => cookieWith(Revocations.layer(() => KV)),
  durableObject: ({ ENDED_SESSIONS }) =>
    cookieWith(Revocations.layer((key) => ENDED_SESSIONS.getByName(key.slice(0, 2))))
}

export default {
  fetch: async (request: Request, env: Env): Promise<Response> => {
    drivers[new URL(request.url).pathname.slice(1)]!(env)
    return Response.json(await runTests())
  }
}
