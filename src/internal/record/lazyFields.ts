/**
 * Fields that are put together only when somebody wants all of them. Most requests want one, which is looked up where it is.
 */
import * as Lines from "./lines.ts"
import type { Fields } from "./record.ts"

export abstract class LazyFields implements Fields {
  #all: Fields | undefined

  /** What a single field holds. */
  protected abstract find(field: string): string | undefined

  /** All of them. */
  protected abstract collect(): Fields

  /** No fewer units of UTF-16 than all names and values together have. */
  abstract get lengthAtMost(): number

  /** Whether there may be a field whose name begins like that, as far as that is known without looking at all of them. */
  mayHave(_prefix: string): boolean {
    return true
  }

  /** All of them as lines of text. */
  get lines(): string {
    return Lines.encode(this.all)
  }

  /** Whatever compares by kind and content, such as the assertions of a test, takes it for the Map that it stands for. */
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

/** Whether there may be a field whose name begins like that. */
export const mayHave = (fields: Fields, prefix: string): boolean => {
  if (fields instanceof LazyFields) return fields.mayHave(prefix)
  for (const name of fields.keys()) if (name.startsWith(prefix)) return true
  return false
}

export const linesOf = (fields: Fields): string => fields instanceof LazyFields ? fields.lines : Lines.encode(fields)
