/**
 * Fields that are collected only when all of them are needed. Most requests need one, which is looked up directly.
 */
import * as Lines from "./lines.ts"
import type { Fields } from "./record.ts"

export abstract class LazyFields implements Fields {
  #all: Fields | undefined

  /** The text of a single field. */
  protected abstract find(field: string): string | undefined

  /** All fields. */
  protected abstract collect(): Fields

  /** At least the length of all names and values together, in UTF-16 units. */
  abstract get lengthAtMost(): number

  /** Whether there may be a field whose name starts with this, as far as is known without collecting them. */
  mayHave(_prefix: string): boolean {
    return true
  }

  /** All fields as lines of text. */
  get lines(): string {
    return Lines.encode(this.all)
  }

  /** Makes comparisons by kind and content, such as test assertions, treat it as the Map that it represents. */
  get [Symbol.toStringTag](): string {
    return "Map"
  }

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

/** At least the length of all names and values together, in UTF-16 units. */
export const lengthAtMost = (fields: Fields): number => {
  if (fields instanceof LazyFields) return fields.lengthAtMost
  let length = 0
  // `forEach`, because iterating allocates an array for each field.
  fields.forEach((text, field) => {
    length += field.length + text.length
  })
  return length
}

/** Whether there may be a field whose name starts with this. */
export const mayHave = (fields: Fields, prefix: string): boolean => {
  if (fields instanceof LazyFields) return fields.mayHave(prefix)
  for (const name of fields.keys()) if (name.startsWith(prefix)) return true
  return false
}

export const linesOf = (fields: Fields): string => fields instanceof LazyFields ? fields.lines : Lines.encode(fields)
