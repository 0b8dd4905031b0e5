/**
 * A process of its own that works on sessions in files; what it is to do comes as JSON. It tells by lines what it has
 * done: a line is out before the next step begins, so it is heard even if the process is killed right after it.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import { once } from "node:events"
import { writeSync } from "node:fs"
import { flushCompileCache } from "node:module"
import * as FileBackend from "../../src/internal/drivers/file/backend.ts"
import * as Change from "../../src/internal/record/change.ts"
import * as Identifier from "../../src/internal/token/identifier.ts"

export interface Job {
  readonly location: string
  readonly task:
    /** Says "ready", waits for a word, and then increments a session, a field of its own and one that all share. */
    | { readonly name: "increment"; readonly key: string; readonly field: string; readonly times: number }
    /** Does whatever there is to be done, until it is killed. */
    | { readonly name: "write"; readonly shared: string }
    /** Commits to the sessions and touches them, each of them until it is gone. */
    | { readonly name: "commitUntilGone"; readonly keys: ReadonlyArray<string> }
    /** Opens a store as a user without rights and says what is wrong with its location. */
    | { readonly name: "open" }
}

/** What a process says of the sessions that it has. */
export type Said =
  | { readonly what: "ready" | "incremented" | "mistake" | "done"; readonly detail?: string }
  | {
    readonly what: "created" | "committed" | "superseding" | "superseded" | "destroying" | "destroyed" | "gone"
    readonly key: string
    readonly count: number
  }

const say = (said: Said) => Effect.sync(() => writeSync(1, `${JSON.stringify(said)}\n`))

const sayOf = (what: Exclude<Said, { readonly detail?: string }>["what"], key: string, count = 0) =>
  say({ what, key, count })

const { location, task } = JSON.parse(process.argv[2]!) as Job

const inThreeHours = () => Date.now() + 3 * 3_600_000

const times = () => ({ createdAt: Date.now(), touchedAt: Date.now(), expiresAt: inThreeHours() })

const increment = (...fields: ReadonlyArray<string>) =>
  fields.reduce((change, field) => Change.increment(change, field, { by: 1, initial: 0 }), Change.none)

const perform = Effect.fnUntraced(function*(backend: FileBackend.FileBackend) {
  const create = Effect.gen(function*() {
    const key = Identifier.hash(Identifier.random())
    yield* backend.create(key, { ...times(), fields: new Map() })
    yield* sayOf("created", key)
    return key
  })

  const commit = Effect.fnUntraced(function*(key: string, count: number) {
    yield* backend.update(key, increment("count"), times())
    yield* sayOf("committed", key, count)
  })

  const keepCommitting = Effect.gen(function*() {
    const key = yield* create
    for (let count = 1;; count++) yield* commit(key, count)
  })

  const comeAndGo = Effect.gen(function*() {
    const key = yield* create
    yield* commit(key, 1)
    yield* sayOf("superseding", key)
    yield* backend.supersede(key, { supersededUntil: inThreeHours(), successor: key }, new Map([["count", "1"]]))
    yield* sayOf("superseded", key)
    const other = yield* create
    yield* sayOf("destroying", other)
    yield* backend.destroy(other)
    yield* sayOf("destroyed", other)
  })

  const commitUntilGone = Effect.fnUntraced(function*(key: string) {
    let count = 0
    while (yield* backend.update(key, increment("count"), times())) {
      yield* sayOf("committed", key, ++count)
      yield* backend.touch(key, times())
    }
    yield* sayOf("gone", key, count)
  })

  switch (task.name) {
    case "increment": {
      yield* say({ what: "ready" })
      yield* Effect.promise(() => once(process.stdin, "data"))
      yield* Effect.repeat(backend.update(task.key, increment("shared", task.field), times()), {
        times: task.times - 1
      })
      yield* say({ what: "done" })
      return process.exit()
    }
    case "write":
      return yield* Effect.all(
        [
          keepCommitting,
          keepCommitting,
          Effect.forever(comeAndGo),
          Effect.forever(
            Effect.andThen(backend.update(task.shared, increment("count"), times()), say({ what: "incremented" }))
          )
        ],
        { concurrency: "unbounded", discard: true }
      )
    case "commitUntilGone":
      return yield* Effect.forEach(task.keys, commitUntilGone, { concurrency: "unbounded", discard: true })
    case "open": {
      const { FileLayer, SessionConfig } = yield* Effect.promise(() => import("effect-session"))
      const store = FileLayer.layer({ location }).pipe(
        Layer.provide([NodeFileSystem.layer, NodePath.layer]),
        Layer.provide(SessionConfig.layer({ id: { protection: "none" } }))
      )
      // Now that everything is loaded: whoever it is may have no right to read it.
      if (process.getuid!() === 0) process.setuid!(65_534)
      const opened = yield* Effect.result(Effect.scoped(Layer.build(store)))
      return yield* opened._tag === "Success"
        ? say({ what: "done" })
        : say({ what: "mistake", detail: opened.failure.message })
    }
  }
})

// By itself Node.js does that at the end of the process, which most of these do not live to see.
flushCompileCache()

const main = Effect.gen(function*() {
  yield* perform(FileBackend.make(yield* FileSystem.FileSystem, yield* Path.Path, location, true))
})

Effect.runFork(Effect.provide(main, [NodeFileSystem.layer, NodePath.layer]))
