/**
 * Fields that stay the text in which they are stored. A request that reads one field has only that one taken out; whoever asks
 * for many, or for all, gets them from a Map.
 *
 * Of a session of seven fields and 300 bytes, a Map takes 1,200 bytes to make, and this takes 50.
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
    // A search goes through the whole text: so many are worth a Map, and there are never more, however large the session is.
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
