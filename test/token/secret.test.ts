import { assert, describe, it } from "@effect/vitest"
import { Equal } from "effect"
import { inspect } from "node:util"
import * as Identifier from "../../src/internal/token/identifier.ts"
import { Id, Token } from "../../src/internal/token/secret.ts"

const text = Identifier.random()

describe("an id and a token", () => {
  for (const secret of [new Id(text), new Token(text)]) {
    it(`show nothing of what they hold, however they are printed: ${secret}`, () => {
      const printed = [
        String(secret),
        JSON.stringify({ secret }),
        inspect({ secret }, { showHidden: true, depth: Infinity }),
        inspect(Object.entries(secret)),
        `${Reflect.ownKeys(secret).join()} ${Object.values({ ...secret }).join()}`
      ]
      for (const one of printed) assert.notInclude(one, text)
      assert.strictEqual(secret.text, text)
    })
  }

  it("equal those that hold the same, and only those of their kind", () => {
    assert.isTrue(Equal.equals(new Id(text), new Id(text)))
    assert.isFalse(Equal.equals(new Id(text), new Id(Identifier.random())))
    assert.isFalse(Equal.equals(new Id(text), new Token(text)))
  })

  it("are stored under the hash of the id, of which the handle is the beginning", () => {
    const id = new Id(text)
    assert.strictEqual(id.key, Identifier.hash(text))
    assert.strictEqual(id.key, id.key)
    assert.strictEqual(id.handle, Identifier.handle(text))
  })
})
