/**
 * Sessions in files that several processes work on, on the real file system.
 */
import { assert, describe, it, vi } from "@effect/vitest"
import { Effect } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import type { FileBackend } from "../../../src/internal/drivers/file/backend.ts"
import type { SessionRecord } from "../../../src/internal/record/record.ts"
import {
  bundledScript,
  filesIn,
  hour,
  newKey,
  pathsIn,
  recordUntil,
  stage,
  startWorker
} from "../../support/fileStore.ts"
import type { Said } from "../../support/fileWorker.ts"

// Hundreds of processes take their time, on a machine that is busy with other things.
vi.setConfig({ testTimeout: 240_000 })

const inThreeHours = () => recordUntil(Date.now() + 3 * hour)

const mark = { supersededUntil: Date.now() + 3 * hour, successor: "" }

describe("several processes", () => {
  it.live("1,000 increments by four processes add up, and what each of them set is there", () =>
    Effect.gen(function*() {
      const { backend, location } = yield* stage
      const key = newKey()
      yield* backend.create(key, inThreeHours())
      const fields = ["one", "two", "three", "four"]
      const workers = yield* Effect.forEach(
        fields,
        (field) => startWorker({ location, task: { name: "increment", key, field, times: 250 } })
      )
      // They begin together.
      yield* Effect.forEach(workers, ({ hear }) => hear)
      yield* Effect.forEach(workers, ({ goOn }) => goOn)
      yield* Effect.forEach(workers, ({ hear }) => hear)

      const stored = (yield* backend.load(key)) as SessionRecord
      assert.deepStrictEqual(
        Object.fromEntries(stored.fields),
        { shared: "1000", one: "250", two: "250", three: "250", four: "250" }
      )
      assert.lengthOf(filesIn(location), 2, "nothing else is left in the folder")
    }))

  it.live.each(
    [
      ["destroys", ({ destroy }, key) => destroy(key), undefined],
      ["ends for its owner", ({ owners }, key) => owners.bury(key, mark), mark]
    ] satisfies ReadonlyArray<
      readonly [string, (backend: FileBackend, key: string) => Effect.Effect<unknown, unknown>, unknown]
    >
  )(
    "gone is gone: a session that one process %s does not come back while others commit to it",
    ([, end, left]) =>
      Effect.gen(function*() {
        const { backend, location } = yield* stage
        const keys = Array.from({ length: 20 }, newKey)
        yield* Effect.forEach(keys, (key) => backend.create(key, inThreeHours()))
        const workers = yield* Effect.replicateEffect(
          startWorker({ location, task: { name: "commitUntilGone", keys } }),
          3
        )
        yield* Effect.forEach(keys, (key) =>
          Effect.gen(function*() {
            // In the middle of the commits of all of them.
            yield* Effect.forEach(workers, ({ hear }) => Effect.repeat(hear, { until: isCommitTo(key) }))
            yield* end(backend, key)
          }))
        const ends = yield* Effect.forEach(workers, ({ end }) => end)
        for (const { said, signal } of ends) {
          assert.isNull(signal)
          assert.isTrue(said.some(({ what }) => what === "gone"), "each has found the last session gone")
        }
        for (const key of keys) assert.deepStrictEqual(yield* backend.load(key), left)
        const paths = pathsIn(location).filter((path) => !path.startsWith("."))
        assert.lengthOf(paths, left === undefined ? 0 : 3 * keys.length)
      })
  )
})

const isCommitTo = (key: string) => (said: Said) => said.what === "committed" && "key" in said && said.key === key

describe("a process that is killed at any moment", () => {
  it.live("leaves every file whole and loses no commit that it has acknowledged, 500 times over", () =>
    Effect.gen(function*() {
      const { backend, location } = yield* stage
      const shared = newKey()
      yield* backend.create(shared, inThreeHours())
      const kills = 500
      const script = yield* bundledScript

      const lives = yield* Effect.forEach(
        Array.from({ length: kills }),
        () =>
          Effect.scoped(Effect.gen(function*() {
            const worker = yield* startWorker({ location, task: { name: "write", shared } }, script)
            const first = yield* worker.hear
            // From now on it is writing. A moment is what is random here; there is nothing to wait for.
            yield* Effect.sleep(Math.random() * 10)
            yield* worker.kill
            const { said, signal } = yield* worker.end
            assert.strictEqual(signal, "SIGKILL")
            return [first, ...said]
          })),
        { concurrency: 4 }
      )

      // Every file that counts parses, whichever they are.
      assert.isAtLeast(parsedIn(location), kills)

      // Every session is in the last state that was acknowledged, or in the one that was about to be.
      for (const said of lives) {
        for (const [key, { count, what }] of lastWords(said)) {
          const stored = yield* backend.load(key)
          const isSession = stored !== undefined && "fields" in stored
          const isSuperseded = stored !== undefined && "supersededUntil" in stored
          if (what === "created" || what === "committed") {
            assert.isTrue(isSession, `a session that was ${what} is there`)
            const countNow = Number((stored as SessionRecord).fields.get("count") ?? 0)
            assert.include([count, count + 1], countNow, "no commit is lost, and none is there twice")
          }
          if (what === "superseding") assert.isTrue(isSession || isSuperseded)
          if (what === "superseded") assert.isTrue(isSuperseded)
          if (what === "destroying") assert.isTrue(isSession || stored === undefined)
          if (what === "destroyed") assert.isUndefined(stored)
        }
      }

      // Those who share a session: each of the killed may have had one commit on its way.
      const acknowledged = lives.flat().filter(({ what }) => what === "incremented").length
      const stored = (yield* backend.load(shared)) as SessionRecord
      const total = Number(stored.fields.get("count") ?? 0)
      assert.isAbove(acknowledged, 0)
      assert.isAtLeast(total, acknowledged)
      assert.isAtMost(total, acknowledged + kills)

      // It has hit them in the middle of things. When that is old, the sweeper takes it away, and nothing else.
      const keys = lives.flatMap((said) => [...lastWords(said).keys()])
      const before = yield* Effect.forEach(keys, backend.load)
      assert.isAbove(remainsIn(location).length, 0)
      yield* backend.sweep(Date.now() + 2 * hour)
      assert.deepStrictEqual(remainsIn(location), [])
      assert.deepStrictEqual(yield* Effect.forEach(keys, backend.load), before)
    }))
})

/** The last that was said of each session. */
const lastWords = (said: ReadonlyArray<Said>) =>
  new Map(said.flatMap((said) => "key" in said ? [[said.key, said] as const] : []))

/** Which of its versions counts. */
const versionIn = (names: ReadonlyArray<string>) => names.find((name) => name.includes(".expires-"))?.split(".", 1)[0]

/** How many sessions there are; fails if the file of one does not parse. */
const parsedIn = (location: string): number =>
  readdirSync(location).flatMap((folder) => {
    const version = versionIn(readdirSync(join(location, folder)))
    return version === undefined ? [] : [JSON.parse(readFileSync(join(location, folder, `${version}.json`), "utf8"))]
  }).length

/** What is neither the folder of a session nor one of the two files in it. */
const remainsIn = (location: string): ReadonlyArray<string> =>
  readdirSync(location).flatMap((folder) => {
    const names = readdirSync(join(location, folder))
    const version = versionIn(names)
    return folder.startsWith(".") || version === undefined
      ? [folder]
      : names.filter((name) => !name.startsWith(`${version}.`))
  })
