/** What the candidates of a run keep their sessions in: a Redis, a PostgreSQL if any of them wants it, and a folder. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Candidate } from "./candidates.ts"
import { startPostgres, startRedis } from "./processes.ts"

type Environment = Readonly<Record<string, string>>

/** Starts them, and stops them after their use; candidates find them in their environment. */
export const withBackends = async <A>(
  candidates: ReadonlyArray<Candidate>,
  use: (environment: Environment) => Promise<A>,
  place = tmpdir()
): Promise<A> => {
  const ends: Array<() => unknown> = []
  try {
    const folder = mkdtempSync(join(place, "effect-session-bench-"))
    ends.push(() => rmSync(folder, { recursive: true, force: true }))
    const redis = await startRedis()
    ends.push(redis.stop)
    const environment = { REDIS_URL: redis.url, FOLDER: folder, COMMAND_TIMER: "none" }
    if (candidates.every(({ kind }) => kind !== "sql")) return await use(environment)
    const postgres = await startPostgres()
    ends.push(postgres.stop)
    return await use({ ...environment, POSTGRES_URL: postgres.url })
  } finally {
    for (const end of ends.toReversed()) await end()
  }
}
