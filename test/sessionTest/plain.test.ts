/**
 * Without vitest: a file of tests for Node's own runner, as it is.
 */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

describe("with Node's own runner", () => {
  it("an application is tested by promises, and its time goes forward", () => {
    const file = fileURLToPath(new URL("plain/logout.ts", import.meta.url))
    const { status, stdout } = spawnSync(
      process.execPath,
      ["--conditions=effect-session/source", "--test-reporter=tap", file],
      { encoding: "utf8" }
    )
    assert.match(stdout, /^ok 1 - logs out$[^]*^ok 2 - is logged out after an hour$/m)
    assert.strictEqual(status, 0)
  })
})
