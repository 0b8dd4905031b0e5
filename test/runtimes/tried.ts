/**
 * Which driver is tried in which runtime. README's table is held against it.
 */
import { readFileSync } from "node:fs"

const { devDependencies } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"))

const workerd = JSON.parse(readFileSync(new URL("../../node_modules/workerd/package.json", import.meta.url), "utf8"))

export interface Driver {
  /** As the program in the runtime calls it. */
  readonly name: string
  /** As README calls it. */
  readonly title: string
}

export const cookie: Driver = { name: "cookie", title: "CookieLayer" }
export const durableObject: Driver = { name: "durableObject", title: "CookieLayer.layerShared, in a Durable Object" }
export const kv: Driver = { name: "kv", title: "CookieLayer.layerShared, in Workers KV" }
export const memory: Driver = { name: "memory", title: "MemoryLayer" }
export const file: Driver = { name: "file", title: "FileLayer" }
export const ioredis: Driver = { name: "ioredis", title: "RedisLayer, on ioredis" }
export const bunRedis: Driver = { name: "bunRedis", title: "RedisLayer, on Bun's own client" }

/** In README's order. */
export const drivers: ReadonlyArray<Driver> = [cookie, durableObject, kv, memory, file, ioredis, bunRedis]

export interface Tried {
  readonly runtime: string
  readonly drivers: ReadonlyArray<Driver>
}

export const onBun: Tried = {
  runtime: `Bun ${devDependencies.bun}`,
  drivers: [cookie, memory, file, ioredis, bunRedis]
}

export const onDeno: Tried = { runtime: `Deno ${devDependencies.deno}`, drivers: [cookie, memory, file, ioredis] }

export const onWorkerd: Tried = {
  runtime: `workerd ${workerd.version} (Cloudflare Workers)`,
  drivers: [cookie, durableObject, kv, memory]
}
