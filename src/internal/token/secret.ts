/**
 * The id of a session, and the token that a client presents for it. Both give access to the session, so printing,
 * encoding or inspecting them reveals nothing. `Redacted` would need a WeakMap entry for each, which takes three times
 * the memory, and every request that uses its session has two of them.
 */
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Inspectable from "effect/Inspectable"
import * as Identifier from "./identifier.ts"

abstract class Secret {
  abstract readonly _tag: string
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  /** The secret itself. */
  get text(): string {
    return this.#text
  }

  toString(): string {
    return `${this._tag}(<redacted>)`
  }

  toJSON(): string {
    return this.toString()
  }

  [Inspectable.NodeInspectSymbol](): string {
    return this.toString()
  }

  [Equal.symbol](that: unknown): boolean {
    return that instanceof Secret && this._tag === that._tag && this.#text === that.#text
  }

  [Hash.symbol](): number {
    return Hash.string(this.#text)
  }
}

/** The value of a session's cookie: its id, protected according to `id.protection`, or the session itself. */
export class Token extends Secret {
  get _tag(): "Token" {
    return "Token"
  }
}

/** The id of a session. */
export class Id extends Secret {
  #key: string | undefined

  /** An id of which only the key is known, which is enough for a session that is found by its handle. */
  static ofKey(key: string): Id {
    const id = new Id("")
    id.#key = key
    return id
  }

  get _tag(): "Id" {
    return "Id"
  }

  /** The secret itself. */
  override get text(): string {
    const text = super.text
    if (text === "") throw new Error("The id of a session that was opened by its handle is not known")
    return text
  }

  /** The session's name for back ends: the SHA-256 hash of the id, which is not a secret. */
  get key(): string {
    return this.#key ??= Identifier.hash(this.text)
  }

  /** A short name for logs and lists, which is not a secret either. */
  get handle(): string {
    return this.key.slice(0, Identifier.handleLength)
  }
}
