/**
 * A reader finds every operation and every error in the guide.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  Csrf,
  Session,
  SessionDriver,
  SessionError,
  SessionGuard,
  SessionKey,
  SessionMiddleware,
  SessionRpc,
  Sessions,
  SessionSocket,
  SessionStream
} from "effect-session"
import { readFileSync } from "node:fs"
import { pagesIn } from "../../docs/.vitepress/code/examples.ts"

const guide = pagesIn(new URL("../../docs/guide", import.meta.url).pathname)
  .map((page) => readFileSync(page, "utf8"))
  .join("\n")

const modules = {
  Csrf,
  Session,
  SessionDriver,
  SessionGuard,
  SessionKey,
  SessionMiddleware,
  SessionRpc,
  Sessions,
  SessionSocket,
  SessionStream
}

/** Not types and services; nor what is for libraries rather than for applications. */
const isOperation = (name: string): boolean => /^[a-z]/.test(name) && name !== "isSessionKey"

describe("the guide", () => {
  const operations = Object.entries(modules).flatMap(([module, members]) =>
    Object.keys(members).filter(isOperation).map((name) => `${module}.${name}`)
  )

  it.each(operations)("has %s", (operation) => {
    assert.match(guide, new RegExp(`\\b${operation.replace(".", "\\.")}\\b`))
  })

  it.each(Object.keys(SessionError).filter((name) => name.endsWith("Error")))("has %s in its table", (name) => {
    assert.match(guide, new RegExp(`^\\| \`${name}\` +\\| (?:\\d{3}| +) +\\|`, "m"))
  })
})
