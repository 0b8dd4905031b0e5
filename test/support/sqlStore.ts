import { Effect, Layer } from "effect"
import { SqlLayer } from "effect-session"
import type { SqlClient } from "effect/sql/SqlClient"

/** Makes the table, where there is none yet. */
export const migrate = (options?: SqlLayer.Options) => Layer.effectDiscard(Effect.orDie(SqlLayer.migration(options)))

/** A store on a database, whose table is made first. */
export const sqlStore = (client: Layer.Layer<SqlClient>, options?: SqlLayer.Options) =>
  SqlLayer.layer(options).pipe(Layer.provide(migrate(options)), Layer.provide(client))
