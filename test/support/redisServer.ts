/**
 * Servers of the tests' own, each with a folder of its own, on free ports, stopped by their process ids.
 */
import { afterAll, beforeAll } from "@effect/vitest"
import { Effect, Exit, Schedule, Scope } from "effect"
import { Redis } from "ioredis"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createClient } from "redis"

export interface RedisServer {
  readonly port: number
  readonly url: string
  readonly process: ChildProcess
  /** Runs a command, past the driver. */
  readonly command: <A>(command: string, ...parameters: ReadonlyArray<string>) => Effect.Effect<A>
  /** Ends the process as a power cut does. */
  readonly kill: Effect.Effect<void>
  /** Stops the process where it is: connections stay, and nobody answers. */
  readonly pause: Effect.Effect<void>
  readonly goOn: Effect.Effect<void>
}

export interface Options {
  readonly port?: number
  readonly folder?: string
  readonly password?: string
  readonly parameters?: ReadonlyArray<string>
}

/** Servers for all tests of a file: started before the first one, stopped after the last one. */
export const shared = <A>(start: Effect.Effect<A, unknown, Scope.Scope>): () => A => {
  const scope = Scope.makeUnsafe()
  let value: { readonly started: A } | undefined
  beforeAll(async () => {
    value = { started: await Effect.runPromise(Scope.provide(start, scope)) }
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  return () => value!.started
}

/** A client of node-redis, connected, for as long as the scope. */
export const connectNodeRedis = (options: Parameters<typeof createClient>[0]) =>
  Effect.tap(
    Effect.acquireRelease(
      Effect.sync(() => createClient(options).on("error", () => {})),
      (client) => Effect.sync(() => client.isOpen && client.destroy())
    ),
    (client) => Effect.promise(() => client.connect())
  )

/** A folder that is removed with the scope. */
export const temporaryFolder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-session-redis-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** Below the ports that the system gives to outgoing connections, so that none of those takes it meanwhile. */
export const freePort: Effect.Effect<number> = Effect.suspend(() => {
  const port = 10_000 + Math.floor(Math.random() * 22_000)
  return Effect.callback<number>((resume) => {
    const server = createServer()
    server.once("error", () => resume(freePort))
    server.listen(port, "127.0.0.1", () => server.close(() => resume(Effect.succeed(port))))
  })
})

/** Starts a process, waits until the server answers, and stops it with the scope. */
export const startRedis = (options: Options = {}): Effect.Effect<RedisServer, never, Scope.Scope> =>
  Effect.flatMap(spawnRedis(options), answering)

/** Starts the process, without waiting. */
const spawnRedis = Effect.fnUntraced(function*({ folder, parameters = [], password, port }: Options) {
  const chosen = port ?? (yield* freePort)
  const settings = [
    ["--port", `${chosen}`, "--bind", "127.0.0.1", "--dir", folder ?? (yield* temporaryFolder), "--save", ""],
    password === undefined ? [] : ["--requirepass", password, "--masterauth", password],
    parameters
  ]
  return yield* spawnServer(chosen, settings.flat(), password)
})

const spawnServer = Effect.fnUntraced(
  function*(port: number, parameters: ReadonlyArray<string>, password?: string) {
    const process = yield* Effect.acquireRelease(
      Effect.sync(() => spawn("redis-server", parameters, { stdio: "ignore" })),
      kill
    )
    const server: RedisServer = {
      port,
      url: `redis://127.0.0.1:${port}`,
      process,
      command: <A>(command: string, ...rest: ReadonlyArray<string>) =>
        Effect.orDie(send({ port, ...(password !== undefined && { password }) }, command, ...rest)) as Effect.Effect<A>,
      kill: kill(process),
      pause: Effect.sync(() => void process.kill("SIGSTOP")),
      goOn: Effect.sync(() => void process.kill("SIGCONT"))
    }
    return server
  }
)

/** Waits for what another process does: tries it again while it fails, for ten seconds or as many as are given. */
export const eventually = <A, E>(effect: Effect.Effect<A, E>, seconds = 10): Effect.Effect<A> =>
  Effect.catchCause(effect, Effect.fail).pipe(
    Effect.retry({ schedule: Schedule.spaced("50 millis"), times: 20 * seconds }),
    Effect.orDie
  )

/** Starts a process with these parameters, and waits until it answers at the port. */
export const startProcess = (parameters: ReadonlyArray<string>, port: number) =>
  Effect.flatMap(spawnServer(port, parameters), answering)

const answering = (server: RedisServer) => Effect.as(eventually(server.command("PING")), server)

const kill = (process: ChildProcess): Effect.Effect<void> =>
  Effect.callback((resume) => {
    if (process.exitCode !== null || process.signalCode !== null) return resume(Effect.void)
    process.once("exit", () => resume(Effect.void))
    process.kill("SIGKILL")
  })

interface Address {
  readonly port: number
  readonly password?: string
}

const send = (address: Address, command: string, ...parameters: ReadonlyArray<string>) =>
  Effect.tryPromise(async () => {
    const client = new Redis({ host: "127.0.0.1", lazyConnect: true, retryStrategy: () => null, ...address })
    // What goes wrong is in the rejections; without a listener it would be printed as well.
    client.on("error", () => {})
    try {
      await client.connect()
      return await client.call(command, ...parameters)
    } finally {
      client.disconnect()
    }
  })

/** All that a server has stored, as one text. */
export const dump = ({ command }: RedisServer): Effect.Effect<string> =>
  Effect.gen(function*() {
    const keys = yield* command<ReadonlyArray<string>>("KEYS", "*")
    const values = yield* Effect.forEach(keys, (key) =>
      Effect.flatMap(command<string>("TYPE", key), (type) =>
        type === "zset" ? command("ZRANGE", key, "0", "-1") : command("HGETALL", key)))
    return JSON.stringify([keys, values])
  })

/**
 * Watches the commands that clients send, and not those of scripts; the Effect answers with the names of those that came
 * since the last time.
 */
export const monitor = Effect.fnUntraced(
  function*({ port }: RedisServer): Effect.fn.Return<Effect.Effect<ReadonlyArray<string>>, never, Scope.Scope> {
    const client = yield* Effect.acquireRelease(
      // Without the INFO of a ready check, which the client that watches would see as one of the commands.
      Effect.sync(() => new Redis({ host: "127.0.0.1", port, enableReadyCheck: false })),
      (client) => Effect.sync(() => client.disconnect())
    )
    const watching = yield* Effect.acquireRelease(
      Effect.promise(() => client.monitor()),
      (watching) => Effect.sync(() => watching.disconnect())
    )
    let names: Array<string> = []
    let marks = 0
    watching.on("monitor", (_time: string, [name, text]: ReadonlyArray<string>, source: string) => {
      if (name === "ECHO") watching.emit(`mark ${text}`)
      else if (source !== "lua") names.push(name!.toUpperCase())
    })
    return Effect.promise(async () => {
      // What was sent before the mark is seen before it.
      const mark = `${++marks}`
      const seen = new Promise((resolve) => watching.once(`mark ${mark}`, resolve))
      await client.call("ECHO", mark)
      await seen
      const since = names
      names = []
      return since
    })
  }
)

// -----------------------------------------------------------------------------
// Cluster
// -----------------------------------------------------------------------------

export interface RedisCluster {
  readonly nodes: ReadonlyArray<RedisServer>
  /** As `RedisLayer` takes them. */
  readonly addresses: ReadonlyArray<string>
}

/** The first and the last slot of each master. */
const slots = [[0, 5460], [5461, 10_922], [10_923, 16_383]] as const

/** A Cluster of three masters and a replica of each; a master that is gone for a second is replaced. */
export const startCluster = Effect.fnUntraced(function*(options: Pick<Options, "password"> = {}) {
  const started = yield* Effect.forEach(Array.from({ length: 6 }), () => startClusterNode(options), { concurrency: 6 })
  const nodes = started.map(({ server }) => server)
  const [first, ...others] = started
  for (const [index, { server }] of started.entries()) {
    yield* server.command("CLUSTER", "SET-CONFIG-EPOCH", `${index + 1}`)
  }
  for (const [index, range] of slots.entries()) {
    yield* nodes[index]!.command("CLUSTER", "ADDSLOTSRANGE", ...range.map(String))
  }
  for (const { busPort, server } of others) {
    yield* first!.server.command("CLUSTER", "MEET", "127.0.0.1", `${server.port}`, `${busPort}`)
  }
  for (const [index, replica] of nodes.slice(3).entries()) {
    const master = yield* nodes[index]!.command<string>("CLUSTER", "MYID")
    yield* eventually(replica.command("CLUSTER", "REPLICATE", master))
  }
  const cluster: RedisCluster = { nodes, addresses: nodes.map(({ port }) => `127.0.0.1:${port}`) }
  yield* untilWhole(cluster)
  return cluster
})

/** A node of a Cluster that has no slots yet and knows no others. */
export const startClusterNode = Effect.fnUntraced(function*(options: Pick<Options, "password"> = {}) {
  const busPort = yield* freePort
  const parameters = [
    ["--cluster-enabled", "yes", "--cluster-port", `${busPort}`, "--cluster-announce-ip", "127.0.0.1"],
    ["--cluster-node-timeout", "1000", "--cluster-replica-validity-factor", "0"],
    ["--repl-diskless-sync-delay", "0"]
  ]
  return { busPort, server: yield* startRedis({ ...options, parameters: parameters.flat() }) }
})

/** Two nodes that make a Cluster: the second one has a single slot. */
export const startSmallCluster = Effect.fnUntraced(function*(slot: number) {
  const [one, other] = yield* Effect.all([startClusterNode(), startClusterNode()])
  const rest = [[0, slot - 1], [slot + 1, 16_383]].filter(([first, last]) => first! <= last!)
  yield* one.server.command("CLUSTER", "ADDSLOTSRANGE", ...rest.flat().map(String))
  yield* other.server.command("CLUSTER", "SET-CONFIG-EPOCH", "1")
  yield* other.server.command("CLUSTER", "ADDSLOTS", `${slot}`)
  yield* one.server.command("CLUSTER", "MEET", "127.0.0.1", `${other.server.port}`, `${other.busPort}`)
  const nodes = [one.server, other.server] as const
  yield* Effect.forEach(nodes, (node) => eventually(isServing(node), 30))
  return nodes
})

const isServing = ({ command }: RedisServer) =>
  Effect.flatMap(
    command<string>("CLUSTER", "INFO"),
    (state) => /cluster_state:ok/.test(state) ? Effect.void : Effect.fail(new Error(state))
  )

/** Waits until every slot is served, and every replica follows its master. */
export const untilWhole = ({ nodes }: RedisCluster): Effect.Effect<void> =>
  Effect.forEach(nodes, (node) => eventually(isWhole(node), 30), { discard: true })

const isWhole = (node: RedisServer) =>
  Effect.gen(function*() {
    yield* isServing(node)
    const nodes = yield* node.command<string>("CLUSTER", "NODES")
    const replication = yield* node.command<string>("INFO", "replication")
    const isOk = nodes.match(/slave /g)?.length === 3 && !/fail/.test(nodes) &&
      /master_link_status:up|connected_slaves:1/.test(replication)
    if (!isOk) return yield* Effect.fail(new Error(`The Cluster is not whole: ${nodes}${replication}`))
  })

// -----------------------------------------------------------------------------
// Sentinel
// -----------------------------------------------------------------------------

export interface WatchedRedis {
  readonly master: RedisServer
  readonly replica: RedisServer
  readonly sentinels: ReadonlyArray<RedisServer>
  /** As `RedisLayer` takes them. */
  readonly addresses: ReadonlyArray<string>
}

/** A master, its replica, and three Sentinels that replace a master that is gone for a second. */
export const startSentinels = Effect.fnUntraced(function*(name: string, password: string) {
  const parameters = ["--repl-diskless-sync-delay", "0"]
  const master = yield* startRedis({ password, parameters })
  const replica = yield* startRedis({
    password,
    parameters: [...parameters, "--replicaof", `127.0.0.1 ${master.port}`]
  })
  const sentinels = yield* Effect.forEach(Array.from({ length: 3 }), () => startSentinel(name, password, master))
  for (const sentinel of sentinels) {
    yield* eventually(knowsAll(sentinel, name), 30)
  }
  const watched: WatchedRedis = {
    master,
    replica,
    sentinels,
    addresses: sentinels.map(({ port }) => `127.0.0.1:${port}`)
  }
  return watched
})

const startSentinel = Effect.fnUntraced(function*(name: string, password: string, master: RedisServer) {
  const port = yield* freePort
  const folder = yield* temporaryFolder
  const file = join(folder, "sentinel.conf")
  const settings = [
    `port ${port}`,
    "bind 127.0.0.1",
    `dir ${folder}`,
    `sentinel monitor ${name} 127.0.0.1 ${master.port} 2`,
    `sentinel auth-pass ${name} ${password}`,
    `sentinel down-after-milliseconds ${name} 1000`,
    `sentinel failover-timeout ${name} 5000`
  ]
  // Sentinels write their state into it.
  yield* Effect.sync(() => writeFileSync(file, settings.join("\n")))
  return yield* Effect.flatMap(spawnServer(port, [file, "--sentinel"]), answering)
})

const knowsAll = (sentinel: RedisServer, name: string) =>
  Effect.gen(function*() {
    const [state] = yield* sentinel.command<ReadonlyArray<ReadonlyArray<string>>>("SENTINEL", "MASTERS")
    const at = (field: string) => state?.[state.indexOf(field) + 1]
    if (at("num-other-sentinels") !== "2" || at("num-slaves") !== "1" || at("flags") !== "master") {
      return yield* Effect.fail(new Error(`The Sentinels of ${name} do not know each other: ${String(state)}`))
    }
  })
