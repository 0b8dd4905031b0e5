/**
 * nginx in front of a server of the tests', as a cache that many clients share. It lives as long as the scope.
 */
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import { eventually, freePort, temporaryFolder } from "./redisServer.ts"
import { type Client, clientOf } from "./server.ts"

/** The directives are for its one location, beside `proxy_pass` and `proxy_cache`. */
export const startNginx = Effect.fnUntraced(function*(url: string, directives: string) {
  const folder = yield* temporaryFolder
  const port = yield* freePort
  mkdirSync(`${folder}/cache`)
  const temporary = ["proxy_temp", "client_body_temp", "fastcgi_temp", "uwsgi_temp", "scgi_temp"]
  writeFileSync(
    `${folder}/nginx.conf`,
    `
worker_processes 1;
daemon off;
${process.getuid?.() === 0 ? "user root;" : ""}
pid ${folder}/pid;
error_log ${folder}/error.log;
events {}
http {
  access_log off;
  ${temporary.map((name) => `${name}_path ${folder}/${name};`).join("\n  ")}
  proxy_cache_path ${folder}/cache keys_zone=pages:1m;
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass ${url};
      proxy_cache pages;
      add_header X-Cache $upstream_cache_status;
      ${directives}
    }
  }
}
`
  )
  yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn("nginx", ["-p", folder, "-e", `${folder}/error.log`, "-c", `${folder}/nginx.conf`], { stdio: "ignore" })
    ),
    (nginx) =>
      Effect.callback<void>((resume) => {
        if (nginx.exitCode !== null || nginx.signalCode !== null) return resume(Effect.void)
        nginx.once("exit", () => resume(Effect.void))
        // It ends its workers as well.
        nginx.kill("SIGTERM")
      })
  )
  const client: Client = clientOf(`http://127.0.0.1:${port}`)
  yield* eventually(client.get("/"))
  return client
})
