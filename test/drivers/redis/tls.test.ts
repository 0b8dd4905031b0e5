/**
 * Redis behind a router that goes by the name in the TLS handshake (SNI), and asks for a certificate.
 */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Redacted } from "effect"
import { RedisLayer, SessionConfig, SessionDriver } from "effect-session"
import { Redis } from "ioredis"
import { writeFileSync } from "node:fs"
import * as Net from "node:net"
import { join } from "node:path"
import * as Tls from "node:tls"
import { type Certificate, makeCertificate } from "../../support/certificate.ts"
import { errorIn, secret } from "../../support/config.ts"
import { observe } from "../../support/observe.ts"
import {
  connectNodeRedis,
  eventually,
  freePort,
  shared,
  startClusterNode,
  startProcess,
  startRedis,
  temporaryFolder
} from "../../support/redisServer.ts"
import { basicRoutes } from "../../support/routes.ts"
import { serve, type StoreLayer } from "../../support/server.ts"

/** Leads to the Redis at the port whoever names "localhost" and, if it is asked for, shows the certificate. */
const startRouter = Effect.fnUntraced(function*(
  target: () => number,
  { cert, key, requestCert = false }: Certificate & { readonly requestCert?: boolean }
) {
  const port = yield* freePort
  const names: Array<unknown> = []
  yield* Effect.acquireRelease(
    Effect.callback<Tls.Server>((resume) => {
      const router = Tls.createServer(
        { key, cert, ca: cert, requestCert, rejectUnauthorized: requestCert },
        (client) => {
          const { servername } = client as unknown as { readonly servername: unknown }
          client.on("error", () => {})
          names.push(servername)
          if (servername !== "localhost") return void client.destroy()
          const redis = Net.connect(target(), "127.0.0.1")
          redis.on("error", () => client.destroy()).on("close", () => client.destroy())
          client.on("close", () => redis.destroy())
          client.pipe(redis).pipe(client)
        }
      )
      router.on("tlsClientError", () => {})
      router.listen(port, "127.0.0.1", () => resume(Effect.succeed(router)))
    }),
    (router) => Effect.sync(() => router.close())
  )
  return { port, names }
})

const servers = shared(Effect.gen(function*() {
  const certificate = yield* makeCertificate(["localhost"])
  const redis = yield* startRedis()
  return {
    ...certificate,
    redis,
    byName: yield* startRouter(() => redis.port, certificate),
    byCertificate: yield* startRouter(() => redis.port, { ...certificate, requestCert: true })
  }
}))

const works = (store: StoreLayer) =>
  Effect.gen(function*() {
    const server = yield* serve(basicRoutes, { store, config: { timeLimit: "3 seconds" } })
    assert.strictEqual((yield* server.post("/count")).status, 200)
  }).pipe(Effect.provide(observe().layer))

describe("a router that goes by the name of the server leads", () => {
  it.live("to the Redis of a URL", () =>
    Effect.gen(function*() {
      const { byName: { port }, cert } = servers()
      yield* works(RedisLayer.layer({ url: `rediss://localhost:${port}`, tls: { ca: cert } }))
      yield* works(RedisLayer.layer({ url: `redis://localhost:${port}`, tls: { ca: cert } }))
    }))

  it.live("to the Redis of a host", () =>
    Effect.gen(function*() {
      const { byName: { port }, cert } = servers()
      yield* works(RedisLayer.layer({ host: "localhost", port, tls: { ca: cert } }))
    }))

  it.live("to the Redis of an address, whose name is in the settings", () =>
    Effect.gen(function*() {
      const { byName: { port }, cert } = servers()
      yield* works(RedisLayer.layer({ host: "127.0.0.1", port, tls: { ca: cert, serverName: "localhost" } }))
    }))

  it.live("to the nodes of a Cluster, whether they go by names or by addresses", () =>
    Effect.gen(function*() {
      const { cert, key } = servers()
      const { server } = yield* startClusterNode()
      const router = yield* startRouter(() => server.port, { cert, key })
      for (
        const [name, value] of [
          ["cluster-announce-hostname", "localhost"],
          ["cluster-preferred-endpoint-type", "hostname"],
          ["cluster-announce-port", `${router.port}`]
        ] as const
      ) yield* server.command("CONFIG", "SET", name, value)
      yield* server.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
      yield* eventually(
        Effect.map(server.command<string>("CLUSTER", "INFO"), (info) => assert.include(info, "cluster_state:ok"))
      )
      const cluster = [`localhost:${router.port}`]
      yield* works(RedisLayer.layer({ cluster, tls: { ca: cert } }))
      yield* server.command("CONFIG", "SET", "cluster-preferred-endpoint-type", "ip")
      yield* works(RedisLayer.layer({ cluster, tls: { ca: cert, serverName: "localhost" } }))
      assert.deepStrictEqual([...new Set(router.names)], ["localhost"])
    }))

  it.live("to the Sentinels and to their master", () =>
    Effect.gen(function*() {
      const { byName, cert, key } = servers()
      const sentinelPort = yield* freePort
      const file = join(yield* temporaryFolder, "sentinel.conf")
      const settings = [
        `port ${sentinelPort}`,
        "sentinel resolve-hostnames yes",
        "sentinel announce-hostnames yes",
        `sentinel monitor mymaster localhost ${byName.port} 2`
      ]
      yield* Effect.sync(() => writeFileSync(file, settings.join("\n")))
      yield* startProcess([file, "--sentinel"], sentinelPort)
      const router = yield* startRouter(() => sentinelPort, { cert, key })
      byName.names.length = 0
      yield* works(RedisLayer.layer({ sentinels: [`localhost:${router.port}`], tls: { ca: cert } }))
      assert.deepStrictEqual([...new Set([...router.names, ...byName.names])], ["localhost"])
      assert.isNotEmpty(byName.names)
    }))

  it.live("a client of the caller's that is made as the documentation says", () =>
    Effect.gen(function*() {
      const { byName: { port }, cert } = servers()
      const ioredis = yield* Effect.acquireRelease(
        Effect.sync(() => new Redis(`rediss://localhost:${port}`, { tls: { ca: cert, servername: "localhost" } })),
        (client) => Effect.sync(() => client.disconnect())
      )
      yield* works(RedisLayer.layerClient(ioredis))
      const nodeRedis = yield* connectNodeRedis({
        url: `rediss://localhost:${port}`,
        socket: { tls: true, ca: cert, servername: "localhost", host: "localhost" }
      })
      yield* works(RedisLayer.layerClient(nodeRedis))
    }))
})

describe("a router that asks for a certificate leads", () => {
  it.live("to Redis whoever has it in the settings", () =>
    Effect.gen(function*() {
      const { byCertificate: { port }, cert, key } = servers()
      const url = `rediss://localhost:${port}`
      yield* works(RedisLayer.layer({ url, tls: { ca: cert, cert, key } }))
      yield* works(RedisLayer.layer({ url, tls: { ca: cert, cert, key: Redacted.make(key) } }))
    }))

  const fromProvider = (provider: ConfigProvider.ConfigProvider) =>
    SessionDriver.layerConfig.pipe(
      Layer.provide(SessionConfig.layerConfig({ secret })),
      Layer.provide(Layer.succeed(ConfigProvider.ConfigProvider, provider))
    ) as unknown as StoreLayer

  it.live("to Redis whoever has it in the environment, with line ends or without", () =>
    Effect.gen(function*() {
      const { byCertificate: { port }, cert, key } = servers()
      for (const write of [(text: string) => text, (text: string) => text.replaceAll("\n", "\\n")]) {
        for (const more of [{}, { SESSION_STORE_TLS: "true" }]) {
          const env = {
            SESSION_DRIVER: "redis",
            SESSION_STORE_HOST: "127.0.0.1",
            SESSION_STORE_PORT: `${port}`,
            SESSION_STORE_TLS_CA: write(cert),
            SESSION_STORE_TLS_CERT: write(cert),
            SESSION_STORE_TLS_KEY: write(key),
            SESSION_STORE_TLS_SERVER_NAME: "localhost",
            ...more
          }
          yield* works(fromProvider(ConfigProvider.fromEnv({ env })))
        }
      }
    }))

  it.live("to Redis whoever has it in a document", () =>
    Effect.gen(function*() {
      const { byCertificate: { port }, cert, key } = servers()
      const store = { type: "redis", url: `rediss://localhost:${port}`, tls: { ca: cert, cert, key } }
      yield* works(fromProvider(ConfigProvider.fromUnknown({ session: { store } })))
    }))
})

describe("settings of TLS that can't be used:", () => {
  const mistakeOf = (tls: RedisLayer.TlsOptions) =>
    Effect.map(
      errorIn(
        Effect.scoped(Layer.build(Layer.provide(RedisLayer.layer({ tls }), SessionConfig.layer({ secret }))))
      ),
      (error) => {
        assert.notInclude(error.message, "hunter2")
        assert.notInclude(error.message, servers().key.split("\n")[1]!)
        return `${error.mistakes[0]!.setting}: found ${error.mistakes[0]!.found}. ${error.mistakes[0]!.write}`
      }
    )

  it.live("an invalid certificate, an invalid key, a key without its certificate, and an unknown name", () =>
    Effect.gen(function*() {
      const { cert, key } = servers()
      assert.include(
        yield* mistakeOf({ ca: "hunter2" }),
        "store.tls.ca (SESSION_STORE_TLS_CA): found a text of 7 characters. Write certificates in PEM format"
      )
      assert.include(yield* mistakeOf({ key }), "store.tls.cert (SESSION_STORE_TLS_CERT): found nothing")
      assert.include(yield* mistakeOf({ cert }), "store.tls.key (SESSION_STORE_TLS_KEY): found nothing")
      assert.include(
        yield* mistakeOf({ cert, key: "hunter2" }),
        "store.tls (SESSION_STORE_TLS): found an object. TLS can't"
      )
      assert.include(
        yield* mistakeOf({ servername: "hunter2" } as never),
        "store.tls.servername (SESSION_STORE_TLS_SERVERNAME): found a text of 7 characters"
      )
    }))
})
