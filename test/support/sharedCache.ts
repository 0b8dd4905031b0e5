/**
 * A cache that many clients share, as in front of a server: it keeps what it may keep (RFC 9111), with all of its headers,
 * also where the server does not say for how long, as nginx does with `proxy_cache_valid`.
 */
import { Effect } from "effect"
import type { Answer, Client, Sent } from "./server.ts"

interface Kept {
  readonly varyBy: ReadonlyArray<readonly [header: string, value: unknown]>
  readonly answer: Answer
}

export const sharedCache = (server: Pick<Client, "get">): Pick<Client, "get"> => {
  const kept = new Map<string, Array<Kept>>()
  const valueIn = (sent: Sent | undefined, header: string) =>
    header === "cookie" ? sent?.cookie : sent?.headers?.[header]

  return {
    get: (path, sent) =>
      Effect.suspend(() => {
        const variants = kept.get(path) ?? []
        const found = variants.find(({ varyBy }) => varyBy.every(([header, value]) => valueIn(sent, header) === value))
        if (found !== undefined) return Effect.succeed(found.answer)
        return Effect.tap(server.get(path, sent), (answer) =>
          Effect.sync(() => {
            const names = (answer.headers.vary ?? "").toLowerCase().split(",").map((name) => name.trim())
            if (!mayKeep(answer) || names.includes("*")) return
            const varyBy = names.filter((name) => name !== "").map((name) => [name, valueIn(sent, name)] as const)
            kept.set(path, [...variants, { varyBy, answer }])
          }))
      })
  }
}

/** Headers that are for such a cache alone come before Cache-Control (RFC 9213). */
export const mayKeep = ({ headers }: Pick<Answer, "headers">): boolean => {
  const targeted = [headers["cdn-cache-control"], headers["surrogate-control"]].find((value) => value !== undefined)
  const accel = headers["x-accel-expires"]
  if (accel !== undefined) return accel !== "0"
  return !/(^|[\s,])(no-store|private)([\s,]|$)/.test(String(targeted ?? headers["cache-control"] ?? ""))
}
