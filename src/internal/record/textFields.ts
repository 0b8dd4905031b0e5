/**
 * Fields that remain in their stored text. Reading one field extracts only that one; reading many, or all, builds a Map.
 *
 * For a session of seven fields and 300 bytes, a Map takes 1,200 bytes, and this takes 50.
 */
import { LazyFields } from "./lazyFields.ts"
import * as Lines from "./lines.ts"
import type { Fields } from "./record.ts"

export class TextFields extends LazyFields {
  readonly #text: string
  readonly #start: number
  #searches = 0

  constructor(text: string, start: number) {
    super()
    this.#text = text
    this.#start = start
  }

  protected find(name: string): string | undefined {
    // A search scans the whole text. From this many on, a Map is cheaper, so there are never more searches than this.
    return ++this.#searches > 8 ? this.all.get(name) : Lines.get(this.#text, name, this.#start)
  }

  protected collect(): Fields {
    return Lines.decode(this.#text, this.#start)
  }

  override get size(): number {
    return Lines.count(this.#text, this.#start)
  }

  override mayHave(prefix: string): boolean {
    return this.#text.includes(prefix, this.#start)
  }

  get lengthAtMost(): number {
    return this.#text.length - this.#start
  }

  override get lines(): string {
    return this.#text.slice(this.#start)
  }
}
