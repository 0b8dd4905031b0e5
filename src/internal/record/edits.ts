/**
 * What a request has done to each field, as a persistent list with the last edit first. Every few edits there is an index of
 * all previous ones, so finding one costs the same however many there are. Most requests need no index.
 */
import * as HashMap from "effect/HashMap"

export interface Edits<A> {
  readonly field: string
  readonly edit: A
  readonly before: Edits<A> | undefined
  /** The number of edits since the last index. */
  readonly unindexed: number
  /** All edits up to this one, if it has an index. */
  readonly index: HashMap.HashMap<string, A> | undefined
}

/** With 8 to 32, both a request with one edit and one with thousands allocate the least. */
const few = 16

export const get = <A>(edits: Edits<A> | undefined, field: string): A | undefined => {
  for (let one = edits; one !== undefined; one = one.before) {
    if (one.field === field) return one.edit
    if (one.index !== undefined) {
      const found = HashMap.get(one.index, field)
      return found._tag === "Some" ? found.value : undefined
    }
  }
  return undefined
}

/** Adds an edit, which replaces an earlier one of the same field. */
export const add = <A>(before: Edits<A> | undefined, field: string, edit: A): Edits<A> => {
  const unindexed = before === undefined || before.index !== undefined ? 1 : before.unindexed + 1
  const added = { field, edit, before, unindexed, index: undefined }
  return unindexed < few ? added : { ...added, index: indexOf(added) }
}

const indexOf = <A>(edits: Edits<A>): HashMap.HashMap<string, A> => {
  const unindexed: Array<Edits<A>> = []
  let last: Edits<A> | undefined = edits
  for (; last !== undefined && last.index === undefined; last = last.before) unindexed.push(last)
  return HashMap.mutate(last?.index ?? HashMap.empty<string, A>(), (index) => {
    for (const { edit, field } of unindexed.toReversed()) HashMap.set(index, field, edit)
  })
}

/** Whether there are at most this many, including replaced ones. */
export const areAtMost = <A>(edits: Edits<A> | undefined, most: number): boolean => {
  let one = edits
  for (let left = most; left > 0 && one !== undefined; left--) one = one.before
  return one === undefined
}

/** The edit of each field, in the order in which the fields were first edited. */
export const forEach = <A>(edits: Edits<A> | undefined, f: (edit: A, field: string) => void): void => {
  if (edits?.before === undefined) {
    if (edits !== undefined) f(edits.edit, edits.field)
    return
  }
  const inTurn: Array<Edits<A>> = []
  for (let one: Edits<A> | undefined = edits; one !== undefined; one = one.before) inTurn.push(one)
  const byField = new Map<string, A>()
  for (let index = inTurn.length - 1; index >= 0; index--) byField.set(inTurn[index]!.field, inTurn[index]!.edit)
  byField.forEach(f)
}

/** Maps each edit, and drops those for which `f` returns `undefined`. */
export const filterMap = <A, B>(
  edits: Edits<A> | undefined,
  f: (edit: A, field: string) => B | undefined
): Edits<B> | undefined => {
  let mapped: Edits<B> | undefined
  forEach(edits, (edit, field) => {
    const next = f(edit, field)
    if (next !== undefined) mapped = add(mapped, field, next)
  })
  return mapped
}
