/**
 * The back end on DynamoDB: one item for each session, and updates that change one only if it exists.
 */
import * as Effect from "effect/Effect"
import { SessionTooLargeError } from "../../../SessionError.ts"
import type { Backend, Conflict, OwnerIndex, SupersededRecord } from "../../../SessionStore.ts"
import * as KeyLock from "../../concurrency/keyLock.ts"
import * as Change from "../../record/change.ts"
import type { Fields, SessionRecord, Times } from "../../record/record.ts"
import { conflict } from "../../store/answers.ts"
import * as Batches from "./batches.ts"
import { type Dynamo, DynamoError, type Item } from "./client.ts"
import * as Expressions from "./expressions.ts"
import * as Items from "./items.ts"
import * as Owners from "./owners.ts"

export const make = (dynamo: Dynamo, settings: Items.Table): Backend & { readonly owners: OwnerIndex } => {
  const { consistentRead, table, ttlAttribute } = settings
  const { keyOf, toItem, toKey, toMark } = Items.forTable(settings)
  const locked = KeyLock.make()

  const at = (key: string) => ({ TableName: table, Key: keyOf(key) })
  const read = (key: string, ConsistentRead = true) =>
    Effect.map(dynamo.send("GetItem", { ...at(key), ConsistentRead }), ({ Item }) => Item)

  const put = (item: Item, condition: object) =>
    Effect.catchIf(
      dynamo.send("PutItem", { TableName: table, Item: item, ...condition }),
      isTooLarge,
      () => {
        const size = Math.max(Items.sizeOf(item), Items.itemLimit + 1)
        return Effect.fail(new SessionTooLargeError({ driver: "dynamodb", size, limit: Items.itemLimit }))
      }
    )

  /** The item that did not meet a condition. Stand-ins for development may not return it, and are asked. */
  const whatIsThere = (key: string, { item }: DynamoError) => item === undefined ? read(key) : Effect.succeed(item)

  const create = (key: string, record: SessionRecord): Effect.Effect<boolean, unknown> =>
    Effect.suspend(() => {
      const commit = Items.newCommit()
      return put(toItem(key, record, commit), Expressions.ifNothingIsThere).pipe(
        Effect.as(true),
        Effect.catchIf(isRefused, (error) =>
          // If the SDK has retried, this may be what the first try stored.
          error.attempts === 1
            ? Effect.succeed(false)
            : Effect.map(whatIsThere(key, error), (item) => Items.isOf(item, commit)))
      )
    })

  const update = (key: string, change: Change.Change, times: Times): Effect.Effect<boolean | Conflict, unknown> =>
    Effect.suspend(() => {
      const commit = Items.newCommit()
      const expressions = Expressions.toExpressions(change, times, commit, ttlAttribute)
      if (expressions === undefined) return merge(key, change, times, commit)
      return dynamo.send("UpdateItem", { ...at(key), ...expressions, ...Expressions.orTellWhatIsThere }).pipe(
        Effect.as(true),
        Effect.catch((error): Effect.Effect<boolean | Conflict, unknown> =>
          isRefused(error)
            ? refused(key, change, times, commit, error)
            // It adds to something that is not a number, exceeds DynamoDB's numbers, or makes the item too large.
            : isInvalid(error)
            ? merge(key, change, times, commit)
            : Effect.fail(error)
        )
      )
    })

  /** The condition of an update was not met. */
  const refused = (
    key: string,
    change: Change.Change,
    times: Times,
    commit: string,
    error: DynamoError
  ): Effect.Effect<boolean | Conflict, unknown> => {
    const expectsNothing = change.expect.size === 0
    if (expectsNothing && !change.touch && error.attempts === 1) return Effect.succeed(false)
    return Effect.flatMap(whatIsThere(key, error), (item) => {
      const stored = Items.fromItem(item)
      if (!Items.isRecord(stored)) return Effect.succeed(false)
      // The SDK has repeated a request that had been carried out.
      if (Items.isOf(item, commit)) return Effect.succeed(true)
      if (!Change.isExpected(stored.fields, change.expect)) return Effect.succeed(conflict(stored))
      const isLate = change.touch && (stored.touchedAt > times.touchedAt || stored.expiresAt > times.expiresAt)
      if (!isLate) {
        // Without expectations only the commit itself can be in the way. With them, numbers can be too: DynamoDB compares digits
        // that are lost when they are loaded.
        return expectsNothing ? Effect.succeed(true) : merge(key, change, times, commit)
      }
      // Another request has extended the session further than this one.
      const later = Change.merge(stored, Change.onlyTouch, times)
      const touch = later.touchedAt > stored.touchedAt || later.expiresAt > stored.expiresAt
      const rest = { ...change, touch }
      return !touch && Change.isEmpty(rest) ? Effect.succeed(true) : update(key, rest, later)
    })
  }

  /** Reads and writes what no expression can do, and retries while others come in between. */
  const merge = (key: string, change: Change.Change, times: Times, commit: string) => {
    const attempt: Effect.Effect<boolean | Conflict, unknown> = Effect.flatMap(read(key), (item) => {
      const stored = Items.fromItem(item)
      if (!Items.isRecord(stored)) return Effect.succeed(false)
      if (Items.isOf(item, commit)) return Effect.succeed(true)
      if (!Change.isExpected(stored.fields, change.expect)) return Effect.succeed(conflict(stored))
      const merged = toItem(key, Change.merge(stored, change, times), commit)
      return Effect.flatMap(
        ifMet(put(merged, Expressions.ifStillAt(item!["lastCommit"]!))),
        (written) => written ? Effect.succeed(true) : attempt
      )
    })
    return locked(key)(attempt)
  }

  const supersede = (
    key: string,
    mark: SupersededRecord,
    fields: Fields
  ): Effect.Effect<SessionRecord | Conflict | undefined, unknown> => {
    const condition = Expressions.ifItHolds(fields)
    if (condition === undefined) return replace(key, mark, fields)
    return dynamo.send("PutItem", {
      TableName: table,
      Item: toMark(key, mark),
      ...condition,
      ...Expressions.orTellWhatIsThere,
      ReturnValues: "ALL_OLD"
    }).pipe(
      Effect.map(({ Attributes }) => {
        const old = Items.fromItem(Attributes)
        return Items.isRecord(old) ? old : undefined
      }),
      Effect.catchIf(isRefused, (error) => refusedToSupersede(key, mark, fields, error))
    )
  }

  const refusedToSupersede = (
    key: string,
    mark: SupersededRecord,
    fields: Fields,
    error: DynamoError
  ): Effect.Effect<SessionRecord | Conflict | undefined, unknown> => {
    return Effect.flatMap(whatIsThere(key, error), (item) => {
      const stored = Items.fromItem(item)
      if (Items.isRecord(stored)) {
        return Change.isSame(stored.fields, fields)
          ? replace(key, mark, fields)
          : Effect.succeed(conflict(stored))
      }
      // If the SDK has retried, the record may have been in the lost answer.
      return error.attempts === 1 ? Effect.undefined : Effect.fail(error)
    })
  }

  /** The same by reading and writing. */
  const replace = (key: string, mark: SupersededRecord, fields: Fields) => {
    const attempt = (
      before?: SessionRecord
    ): Effect.Effect<SessionRecord | Conflict | undefined, unknown> =>
      Effect.flatMap(read(key), (item) => {
        const stored = Items.fromItem(item)
        // The SDK has repeated a request that had been carried out.
        if (stored !== undefined && "successor" in stored && stored.successor === mark.successor) {
          return Effect.succeed(before)
        }
        if (!Items.isRecord(stored)) return Effect.undefined
        if (!Change.isSame(stored.fields, fields)) return Effect.succeed(conflict(stored))
        return Effect.flatMap(
          ifMet(put(toMark(key, mark), Expressions.ifStillAt(item!["lastCommit"]!))),
          (written) => written ? Effect.succeed(stored) : attempt(stored)
        )
      })
    return locked(key)(attempt())
  }

  const peek = (keys: ReadonlyArray<string>, fields: ReadonlyArray<string>) => {
    const request = { ConsistentRead: true, ...Expressions.onlyTimesAnd(fields) }
    const send = (Keys: ReadonlyArray<Item>) =>
      Effect.map(
        dynamo.send("BatchGetItem", { RequestItems: { [table]: { ...request, Keys } } }),
        ({ Responses = {}, UnprocessedKeys = {} }) => ({
          answers: Object.values(Responses).flat(),
          unprocessed: Object.values(UnprocessedKeys).flatMap(({ Keys }) => Keys)
        })
      )
    return Effect.map(
      Batches.run(Array.from(new Set(keys), keyOf), 100, send),
      (items) =>
        new Map(items.flatMap((item) => {
          const stored = Items.fromPart(item)
          return stored === undefined ? [] : [[toKey(item), stored] as const]
        }))
    )
  }

  return {
    driver: "dynamodb",
    load: (key) => Effect.map(read(key, consistentRead), Items.fromItem),
    create,
    update,
    touch: (key, times) => Effect.map(update(key, Change.onlyTouch, times), (answer) => answer === true),
    supersede,
    destroy: (key) =>
      dynamo.send("DeleteItem", { ...at(key), ...Expressions.unlessSuperseded, ...Expressions.orTellWhatIsThere }).pipe(
        Effect.as(undefined),
        Effect.catchIf(isRefused, (error) =>
          Effect.map(whatIsThere(key, error), (item) => {
            const stored = Items.fromItem(item)
            return stored === undefined || Items.isRecord(stored) ? undefined : stored
          }))
      ),
    peek,
    owners: Owners.make(dynamo, settings)
  }
}

// -----------------------------------------------------------------------------
// answers
// -----------------------------------------------------------------------------

const isRefused = (error: DynamoError | SessionTooLargeError): error is DynamoError =>
  error instanceof DynamoError && error.code === "ConditionalCheckFailedException"

const isInvalid = ({ code }: DynamoError): boolean => code === "ValidationException"

const isTooLarge = (error: DynamoError): boolean => isInvalid(error) && /item size/i.test(error.message)

const ifMet = (write: Effect.Effect<unknown, DynamoError | SessionTooLargeError>) =>
  Effect.catchIf(Effect.as(write, true), isRefused, () => Effect.succeed(false))
