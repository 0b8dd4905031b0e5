/**
 * What databases say of a value that they refuse, without the value.
 */
import { assert, it } from "@effect/vitest"
import { inspect } from "node:util"
import { withoutValues } from "../../src/internal/store/withoutValues.ts"

const value = "{\"token\":\"hunter2\",\"note\":\"a: b\\nc\"}"

it.each([
  [
    `Incorrect integer value: '${value}' for column 'fields' at row 1`,
    "Incorrect integer value: … for column 'fields' at row 1"
  ],
  [`Incorrect string value: '${value}'`, "Incorrect string value: …"],
  [`invalid input syntax for type integer: "${value}"`, "invalid input syntax for type integer: …"],
  [`invalid input syntax for type double precision: "${value}"`, "invalid input syntax for type double precision: …"],
  [`invalid input value for enum mood: "${value}"`, "invalid input value for enum mood: …"],
  [`value "${value}" is out of range for type integer`, "value … is out of range for type integer"],
  ["value too long for type character varying(20)", "value too long for type character varying(20)"],
  [
    "new row for relation \"effect_sessions\" violates check constraint \"lim\"",
    "new row for relation \"effect_sessions\" violates check constraint \"lim\""
  ]
])("%s", (message, stripped) => {
  const error = withoutValues(new Error("The query failed", { cause: new Error(message) }))
  assert.strictEqual((error.cause as Error).message, stripped)
  assert.notInclude(inspect(error, { depth: null, showHidden: true }), "hunter2")
})
