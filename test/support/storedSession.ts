/**
 * A session in a store, and what a request does with it.
 */
import { Effect } from "effect"
import type { SessionStore } from "effect-session"
import * as Change from "../../src/internal/record/change.ts"
import * as Identifier from "../../src/internal/token/identifier.ts"
import { Id, type Token } from "../../src/internal/token/secret.ts"

export interface Session {
  /** The hash of the id, which the item has after the prefix. */
  readonly key: string
  readonly id: Id
  readonly token: Token
  readonly record: SessionStore.SessionRecord
  /** What a request commits that has loaded the session as it was created. */
  readonly commit: (
    change: SessionStore.Change,
    times?: Partial<SessionStore.Times>
  ) => ReturnType<SessionStore.SessionStore["update"]>
  readonly touch: (times: Partial<SessionStore.Times>) => ReturnType<SessionStore.SessionStore["touch"]>
  readonly regenerate: (change?: SessionStore.Change) => ReturnType<SessionStore.SessionStore["regenerate"]>
  readonly destroy: ReturnType<SessionStore.SessionStore["destroy"]>
  /** What is stored by now; `undefined` if it is none. */
  readonly stored: Effect.Effect<SessionStore.SessionRecord | undefined, unknown>
  /** The fields of that, in the order of their names. */
  readonly fields: Effect.Effect<Record<string, string> | undefined, unknown>
}

export const times = { createdAt: 1_700_000_000_000, touchedAt: 1_700_000_000_000, expiresAt: 1_700_003_600_001 }

export const newId = (): Id => new Id(Identifier.random())

/** Creates a session; the values are JSON text. A back end that removes what has expired needs times of today. */
export const createSession = Effect.fnUntraced(
  function*(store: SessionStore.SessionStore, values: Readonly<Record<string, string>> = {}, from = times) {
    const id = newId()
    const record = { ...from, fields: new Map(Object.entries(values)) }
    const written = yield* store.create(id, record)
    if (written._tag !== "Written" || written.token === undefined) throw new Error(`The session is ${written._tag}`)
    const { token } = written
    const stored = Effect.map(store.load(token), (loaded) => loaded._tag === "Found" ? loaded.record : undefined)
    const session: Session = {
      key: id.key,
      id,
      token,
      record,
      commit: (change, later = {}) =>
        store.update(id, change, { ...record, ...later, fields: Change.apply(record.fields, change) }),
      touch: (later) => store.touch(id, { ...record, ...later }),
      regenerate: (change = Change.none) => {
        const before = fieldsWith(record.fields, change.expect)
        return store.regenerate(id, newId(), { ...record, fields: Change.apply(before, change) }, before)
      },
      destroy: store.destroy(id, record),
      stored,
      fields: Effect.map(
        stored,
        (record) => record && Object.fromEntries([...record.fields].toSorted(([one], [other]) => one < other ? -1 : 1))
      )
    }
    return session
  }
)

const fieldsWith = (fields: SessionStore.Fields, expected: SessionStore.Expected): SessionStore.Fields =>
  new Map(
    [...fields, ...expected].filter((field): field is [string, string] =>
      expected.get(field[0]) !== undefined || !expected.has(field[0])
    )
  )

export const setting = (values: Readonly<Record<string, string>>): SessionStore.Change => ({
  ...Change.none,
  set: new Map(Object.entries(values))
})

export const adding = (field: string, by: number, initial = 0): SessionStore.Change =>
  Change.increment(Change.none, field, { by, initial })

/** Two changes of different fields as one. */
export const both = (first: SessionStore.Change, second: SessionStore.Change): SessionStore.Change => ({
  clear: first.clear || second.clear,
  set: new Map([...first.set, ...second.set]),
  remove: new Set([...first.remove, ...second.remove]),
  increment: new Map([...first.increment, ...second.increment]),
  touch: first.touch || second.touch,
  expect: new Map([...first.expect, ...second.expect])
})

/** The change, if the fields have these texts. */
export const expecting = (
  expected: Readonly<Record<string, string | undefined>>,
  change: SessionStore.Change
): SessionStore.Change => ({ ...change, expect: new Map(Object.entries(expected)) })
