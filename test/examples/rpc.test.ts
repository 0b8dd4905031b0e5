/**
 * The example of procedures with sessions: server and client as two processes.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { text } from "node:stream/consumers"
import { fileURLToPath } from "node:url"
import { freePort } from "../support/redisServer.ts"

const start = (file: string, env: Readonly<Record<string, string>>) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      spawn(process.execPath, ["--conditions=effect-session/source", `examples/rpc/${file}`], {
        cwd: fileURLToPath(new URL("../..", import.meta.url)),
        env: { ...process.env, ...env },
        stdio: ["ignore", "pipe", "inherit"]
      })
    ),
    (child) => Effect.sync(() => void child.kill("SIGKILL"))
  )

describe("the example of RPC", () => {
  it.live("adds to the cart, asks for the login, orders, and has an empty cart then", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      const server = yield* start("server.ts", { PORT: String(port) })
      yield* Effect.callback<void>((resume) => {
        server.stdout.on("data", (line) => String(line).includes("Listening on") && resume(Effect.void))
      })
      const client = yield* start("client.ts", { URL: `http://127.0.0.1:${port}/rpc` })
      const [said, [code]] = yield* Effect.promise(() => Promise.all([text(client.stdout), once(client, "exit")]))
      assert.deepStrictEqual(said.trim().split("\n"), [
        "2 products in the cart",
        "Please log in first",
        "tea is packed",
        "honey is packed",
        "Thank you, Ada",
        "1 product in the cart"
      ])
      assert.strictEqual(code, 0)
    }))
})
