/** All that are compared, in the order of the tables. */
export interface Candidate {
  readonly name: string
  /** Where it keeps its sessions; a floor does by hand what the others do. */
  readonly kind: "redis" | "cookie" | "memory" | "sql" | "file" | "floor"
  /** In the folder `candidates`. */
  readonly module: string
  readonly variant?: string
}

export const candidates: ReadonlyArray<Candidate> = [
  { name: "effect-session, ioredis 5", kind: "redis", module: "effectSession", variant: "ioredis5" },
  { name: "effect-session, ioredis 6", kind: "redis", module: "effectSession", variant: "ioredis6" },
  { name: "effect-session, node-redis", kind: "redis", module: "effectSession", variant: "node-redis" },
  { name: "express-session", kind: "redis", module: "express", variant: "redis" },
  { name: "@fastify/session", kind: "redis", module: "fastify", variant: "rolling" },
  { name: "@fastify/session, rolling: false", kind: "redis", module: "fastify", variant: "session" },
  { name: "hono-sessions, encrypted id", kind: "redis", module: "hono", variant: "encrypted" },
  { name: "hono-sessions, plain id", kind: "redis", module: "hono", variant: "plain" },
  { name: "@adonisjs/session, redis", kind: "redis", module: "adonis", variant: "redis" },
  { name: "by hand in Effect, ioredis 5", kind: "floor", module: "byHand", variant: "ioredis5" },
  { name: "by hand in Effect, ioredis 6", kind: "floor", module: "byHand", variant: "ioredis6" },
  { name: "by hand in Effect, node-redis", kind: "floor", module: "byHand", variant: "node-redis" },
  {
    name: "by hand in Effect, ioredis 5, loads first",
    kind: "floor",
    module: "byHand",
    variant: "ioredis5, loads first"
  },
  {
    name: "by hand in Effect, node-redis, loads first",
    kind: "floor",
    module: "byHand",
    variant: "node-redis, loads first"
  },
  { name: "node:http, ioredis 5", kind: "floor", module: "nodeHttp", variant: "ioredis5" },
  { name: "node:http, ioredis 6", kind: "floor", module: "nodeHttp", variant: "ioredis6" },
  { name: "node:http, node-redis", kind: "floor", module: "nodeHttp", variant: "node-redis" },
  { name: "effect-session, cookie", kind: "cookie", module: "effectSession", variant: "cookie" },
  { name: "@fastify/secure-session", kind: "cookie", module: "fastify", variant: "secure-session" },
  { name: "iron-session", kind: "cookie", module: "iron" },
  { name: "@adonisjs/session, cookie", kind: "cookie", module: "adonis", variant: "cookie" },
  { name: "effect-session, memory", kind: "memory", module: "effectSession", variant: "memory" },
  { name: "effect-session, PostgreSQL", kind: "sql", module: "effectSession", variant: "postgres" },
  { name: "connect-pg-simple", kind: "sql", module: "express", variant: "postgres" },
  { name: "connect-pg-simple, disableTouch", kind: "sql", module: "express", variant: "postgres, no touch" },
  { name: "effect-session, file", kind: "file", module: "effectSession", variant: "file" },
  { name: "session-file-store", kind: "file", module: "express", variant: "file" },
  { name: "session-file-store, no touch", kind: "file", module: "express", variant: "file, no touch" },
  { name: "@adonisjs/session, file", kind: "file", module: "adonis", variant: "file" }
]

export const operations = ["bare", "untouched", "read", "write", "increment", "login"] as const
export type Operation = typeof operations[number]
