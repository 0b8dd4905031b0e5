/**
 * The index of owners: one item per entry, with all entries of an owner in one partition of the same table. Lists read it
 * backwards.
 *
 * A global secondary index would need no extra items, but can't be read consistently: ending all sessions of an owner could miss
 * a login that has just happened.
 */
import * as Effect from "effect/Effect"
import type { OwnerIndex } from "../../../SessionStore.ts"
import * as Batches from "./batches.ts"
import type { Dynamo, DynamoError, Item } from "./client.ts"
import * as Expressions from "./expressions.ts"
import * as Items from "./items.ts"

export const make = (dynamo: Dynamo, settings: Items.Table): OwnerIndex => {
  const TableName = settings.table
  const { keyOfEntry, partitionOf, toEntryItem, toMark } = Items.forTable(settings)

  const put = (Item: Item) => dynamo.send("PutItem", { TableName, Item })

  /** All entries up to the limit, in several requests: an answer has at most a megabyte, some 7,000 entries. */
  const query = (input: object, limit: number, ExclusiveStartKey?: Item): Effect.Effect<Found, DynamoError> =>
    Effect.flatMap(
      dynamo.send("Query", { TableName, ConsistentRead: true, ...input, Limit: limit, ExclusiveStartKey }),
      ({ Count: count = 0, Items: items = [], LastEvaluatedKey }) =>
        LastEvaluatedKey === undefined || count >= limit
          ? Effect.succeed({ count, items })
          : Effect.map(query(input, limit - count, LastEvaluatedKey), (more) => ({
            count: count + more.count,
            items: [...items, ...more.items]
          }))
    )

  const isOver = (owner: string, limit: number) =>
    Effect.map(
      query({ ...Expressions.inPartition(partitionOf(owner)), Select: "COUNT" }, limit + 1),
      ({ count }) => count > limit
    )

  const remove = (keys: ReadonlyArray<Item>) =>
    Effect.map(
      dynamo.send("BatchWriteItem", {
        RequestItems: { [TableName]: keys.map((Key) => ({ DeleteRequest: { Key } })) }
      }),
      ({ UnprocessedItems = {} }) => ({
        answers: [],
        unprocessed: Object.values(UnprocessedItems).flat().map(({ DeleteRequest }) => DeleteRequest.Key)
      })
    )

  return {
    add: (owner, entry, limit) => {
      const added = put(toEntryItem(owner, entry))
      return limit === undefined ? Effect.as(added, false) : Effect.andThen(added, isOver(owner, limit))
    },
    list: (owner, limit, after) => {
      const entries = Expressions.inPartition(partitionOf(owner), after && keyOfEntry(owner, after)["sort"])
      return Effect.map(
        query({ ...entries, ScanIndexForward: false }, limit),
        ({ items }) => items.map(Items.toEntry).filter((entry) => entry !== undefined)
      )
    },
    remove: (owner, entries) => {
      // DynamoDB rejects duplicate keys.
      const keys = new Map(entries.map((entry) => keyOfEntry(owner, entry)).map((key) => [key["sort"]!.S, key]))
      return Effect.asVoid(Batches.run([...keys.values()], 25, remove))
    },
    bury: (key, mark) => Effect.asVoid(put(toMark(key, mark)))
  }
}

interface Found {
  readonly count: number
  readonly items: ReadonlyArray<Item>
}
