/**
 * The back end on a KeyValueStore: one JSON document for each session, and one for each owner of sessions.
 */
import * as Effect from "effect/Effect"
import type { KeyValueStore, KeyValueStoreError } from "effect/persistence/KeyValueStore"
import type { Driver } from "../../../SessionStore.ts"
import * as KeyLock from "../../concurrency/keyLock.ts"
import { parse } from "../../record/record.ts"
import * as Document from "../../store/document.ts"
import * as DriverBackend from "../../store/driverBackend.ts"
import * as OwnerDocument from "../../store/ownerDocument.ts"
import * as Identifier from "../../token/identifier.ts"

export interface KeyValueBackend extends DriverBackend.DriverBackend {
  /** Removes what has expired. */
  readonly sweep: (now: number) => Effect.Effect<void, KeyValueStoreError>
}

export const make = (store: KeyValueStore, prefix: string): KeyValueBackend => {
  const locked = KeyLock.make()

  const read = (key: string) =>
    Effect.map(store.get(prefix + key), (text) => text === undefined ? undefined : toDocument(text))
  const write: Driver["write"] = (key, document) => store.set(prefix + key, JSON.stringify(document))
  const destroy = (key: string) => store.remove(prefix + key)
  const backend = DriverBackend.make({ driver: "keyValue", read, write, destroy, touch: write }, locked)

  const sweepDocument = (key: string, now: number) =>
    locked(key)(
      Effect.flatMap(read(key), (document) => expiryOf(key, document) <= now ? destroy(key) : Effect.void)
    )

  return {
    ...backend,
    // A store may return a half-written value, which is not a session.
    load: (key) => locked(key)(backend.load(key)),
    sweep: (now) =>
      Effect.flatMap(store.keys, (keys) =>
        Effect.forEach(
          keys.flatMap((key) =>
            key.startsWith(prefix) && isOurs(key.slice(prefix.length)) ? [key.slice(prefix.length)] : []
          ),
          // A store in memory answers immediately, so this lets requests run in between.
          (key) => Effect.andThen(Effect.yieldNow, sweepDocument(key, now)),
          { discard: true }
        ))
  }
}

// Foreign entries stay.
const isOurs = (key: string): boolean => Identifier.isHash(key) || OwnerDocument.isKey(key)

/** A damaged document is not a session, but the key is in use. */
const toDocument = (text: string): Document.Document => {
  const value = parse(text)
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value as Document.Document : {}
}

/** A document that is neither a session nor an owner's is expired. */
const expiryOf = (key: string, document: Document.Document | undefined): number => {
  if (document === undefined) return Number.POSITIVE_INFINITY
  if (OwnerDocument.isKey(key)) return OwnerDocument.expiryOf(OwnerDocument.toEntries(document))
  const record = Document.toRecord(document)
  if (record === undefined) return 0
  return "supersededUntil" in record ? record.supersededUntil : record.expiresAt
}
