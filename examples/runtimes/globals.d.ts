/**
 * As much of the types of Bun and of Cloudflare's Workers as the examples use. An application has them from `@types/bun`,
 * `@cloudflare/workers-types` or `wrangler types`.
 */
declare module "bun" {
  export class RedisClient {
    constructor(url: string, options?: { readonly enableOfflineQueue?: boolean })
    connect(): Promise<void>
    close(): void
    send(command: string, parameters: Array<string>): Promise<unknown>
    subscribe(channel: string, listener: (message: string, channel: string) => void): Promise<number>
  }
}

declare module "cloudflare:workers" {
  export abstract class DurableObject {
    protected readonly ctx: { readonly storage: DurableObjectStorage }
  }
}

interface DurableObjectStorage {
  get<A>(key: string): Promise<A | undefined>
  put(key: string, value: unknown): Promise<void>
  delete(key: string): Promise<boolean>
  list<A>(): Promise<Map<string, A>>
  getAlarm(): Promise<number | null>
  setAlarm(time: number): Promise<void>
}

interface DurableObjectNamespace<A> {
  getByName(name: string): Pick<A, Exclude<keyof A, "alarm">>
}
