/**
 * Fields that are put together only when somebody wants all of them. Most requests want one, which is looked up where it is.
 */
import type { Fields } from "./record.ts"

export abstract class LazyFields implements Fields {
  #all: Fields | undefined

  /** What a single field holds. */
  protected abstract find(field: string): string | undefined

  /** All of them. */
  protected abstract collect(): Fields

  /** No fewer units of UTF-16 than all names and values together have. */
  abstract get lengthAtMost(): number

  get all(): Fields {
    return this.#all ??= this.collect()
  }

  get size(): number {
    return this.all.size
  }

  get(field: string): string | undefined {
    return this.#all === undefined ? this.find(field) : this.#all.get(field)
  }

  has(field: string): boolean {
    return this.get(field) !== undefined
  }

  forEach(f: (text: string, field: string, fields: Fields) => void, thisArg?: unknown): void {
    this.all.forEach((text, field) => f.call(thisArg, text, field, this))
  }

  entries(): MapIterator<[string, string]> {
    return this.all.entries()
  }

  keys(): MapIterator<string> {
    return this.all.keys()
  }

  values(): MapIterator<string> {
    return this.all.values()
  }

  [Symbol.iterator](): MapIterator<[string, string]> {
    return this.all[Symbol.iterator]()
  }
}

/** No fewer units of UTF-16 than all names and values together have. */
export const lengthAtMost = (fields: Fields): number => {
  if (fields instanceof LazyFields) return fields.lengthAtMost
  let length = 0
  // Without an array for each field, as an iteration has it.
  fields.forEach((text, field) => {
    length += field.length + text.length
  })
  return length
}
