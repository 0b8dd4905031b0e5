/** The process of memory.ts: it holds so many sessions, each made as a request of the candidate's own would make it. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import expressSession from "express-session"
import * as Hono from "hono-sessions"
import * as Crypto from "node:crypto"
import { setTimeout } from "node:timers/promises"
import { MemoryLayer, SessionConfig, SessionStore } from "../src/index.ts"
import { Id, Token } from "../src/internal/token/secret.ts"
import { answerWith, collectGarbage } from "./alone.ts"
import type { Content } from "./content.ts"
import { variedContentOf } from "./varied.ts"

export interface Question {
  readonly sessions: number
  readonly bytes: number
  /** How often they are swept, by those who sweep. */
  readonly sweeps: number
}

export interface Answer {
  /** What one session takes, on the heap and outside of it, in bytes. */
  readonly memory: number
  readonly allAlive: ReadonlyArray<Sweep>
  readonly halfExpired: ReadonlyArray<Sweep>
}

/** In milliseconds. */
export interface Sweep {
  /** From its beginning to its end, the turns of others included. */
  readonly total: number
  /** The longest time in which nobody else had a turn. */
  readonly standstill: number
}

interface Holder {
  /** Makes a session, one that ends early if there is a choice, and answers with what to find it by. */
  readonly add: (content: Content, endsEarly: boolean) => string
  /** The `page` in it; `undefined` if it is not there at all. */
  readonly find: (token: string) => Promise<unknown>
  /** Removes what has expired: nothing yet, or those that end early. */
  readonly sweep?: (expired: "none" | "early") => Promise<Sweep>
}

const lifetime = 7_200_000

// -----------------------------------------------------------------------------
// those that are compared
// -----------------------------------------------------------------------------

/** The data and nothing else: a Map from a key to the JSON text of a session. */
const bareData = (): Holder => {
  const sessions = new Map<string, string>()
  return {
    add: (content) => {
      const id = randomText(32)
      sessions.set(id, JSON.stringify(content))
      return id
    },
    find: async (id) => (JSON.parse(sessions.get(id)!) as Content)["page"]
  }
}

const express = (): Holder => {
  const store = new expressSession.MemoryStore()
  type Parameters = globalThis.Parameters<typeof store.createSession>
  return {
    add: (content) => {
      const id = randomText(24)
      const cookie = { originalMaxAge: lifetime, expires: new Date(Date.now() + lifetime), sameSite: "lax" }
      const [request, data] = [{ sessionID: id, sessionStore: store }, { cookie, ...content }] as unknown as Parameters
      store.set(id, store.createSession(request, data))
      return id
    },
    find: (id) => new Promise((resolve) => store.get(id, (_, session) => resolve(Object(session)["page"])))
  }
}

const hono = (): Holder => {
  const store = new Hono.MemoryStore()
  return {
    add: (content) => {
      const id = crypto.randomUUID()
      const session = new Hono.Session<Content>(lifetime / 1_000)
      session.setCache({ _data: {}, _expire: null, _delete: false, _accessed: null, _id: id }, true)
      for (const name in content) session.set(name, content[name]!)
      session.touch()
      store.createSession(id, session.getCache())
      return id
    },
    find: async (id) => store.getSessionById(id)?._data["page"]?.value
  }
}

const randomText = (bytes: number): string => Crypto.randomBytes(bytes).toString("base64url")

// -----------------------------------------------------------------------------
// effect-session
// -----------------------------------------------------------------------------

const effectSession = async (): Promise<Holder> => {
  const begin = Date.now()
  const time = { now: begin }
  const alarm = makeAlarm(() => time.now)
  const clock = Layer.succeed(Clock.Clock, alarm.clock)
  const runtime = ManagedRuntime.make(
    MemoryLayer.layer({ capacity: 2_000_000 }).pipe(
      Layer.provide(SessionConfig.layer({ secret: "bench-bench-bench-bench-bench-bench-bench" })),
      Layer.provideMerge(clock)
    )
  )
  const store = await runtime.runPromise(SessionStore.SessionStore)
  return {
    add: (content, endsEarly) => {
      const fields = new Map<string, string>()
      for (const name in content) fields.set(name, JSON.stringify(content[name]))
      const expiresAt = endsEarly ? begin + lifetime / 2 : begin + lifetime
      const record = { createdAt: begin, touchedAt: begin, expiresAt, fields }
      const written = Effect.runSync(store.create(new Id(randomText(32)), record))
      if (written._tag !== "Written") throw new Error("Two random ids are the same")
      return written.token!.text
    },
    find: async (token) => {
      const loaded = await runtime.runPromise(store.load(new Token(token)))
      if (loaded._tag === "Found") return JSON.parse(loaded.record.fields.get("page")!)
      return loaded._tag === "NotFound" && loaded.reason === "unknown" ? undefined : loaded
    },
    sweep: async (expired) => {
      time.now = expired === "none" ? begin : begin + lifetime / 2
      const wake = await alarm.asleep()
      const turns = watchTurns()
      const start = performance.now()
      wake()
      await alarm.asleep()
      return { total: performance.now() - start, standstill: turns.longest() }
    }
  }
}

/** A clock on which only the sweep waits: it sleeps until it is woken, and when it sleeps again it has swept. */
const makeAlarm = (now: () => number) => {
  const state = { asleep: Promise.withResolvers<() => void>() }
  const sleep = () =>
    Effect.callback<void>((resume) => {
      state.asleep.resolve(() => {
        state.asleep = Promise.withResolvers()
        resume(Effect.void)
      })
    })
  const nanoseconds = () => BigInt(now()) * 1_000_000n
  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: now,
    currentTimeMillis: Effect.sync(now),
    currentTimeNanosUnsafe: nanoseconds,
    currentTimeNanos: Effect.sync(nanoseconds),
    monotonicTimeNanosUnsafe: process.hrtime.bigint,
    monotonicTimeNanos: Effect.sync(process.hrtime.bigint),
    sleep
  }
  return { clock, asleep: () => state.asleep.promise }
}

/** Takes every turn that it can get, and knows the longest time between two. */
const watchTurns = () => {
  let before = performance.now()
  let longest = 0
  const turn = () => {
    const now = performance.now()
    longest = Math.max(longest, now - before)
    before = now
  }
  const repeat = () => {
    turn()
    immediate = setImmediate(repeat)
  }
  let immediate = setImmediate(repeat)
  return {
    longest: () => {
      clearImmediate(immediate)
      turn()
      return longest
    }
  }
}

// -----------------------------------------------------------------------------
// measuring
// -----------------------------------------------------------------------------

const usage = (): number => {
  collectGarbage()
  const { external, heapUsed } = process.memoryUsage()
  return heapUsed + external
}

interface Kept {
  readonly token: string
  readonly page: unknown
}

/** Makes so many sessions, and answers with some of them. */
const fill = ({ add }: Holder, bytes: number, sessions: number, endsEarly = false): ReadonlyArray<Kept> => {
  const kept: Array<Kept> = []
  for (let index = 0; index < sessions; index++) {
    const content = variedContentOf(bytes, made++)
    const token = add(content, endsEarly)
    if (index % 10_000 === 0) kept.push({ token, page: content["page"] })
  }
  return kept
}
let made = 0

const check = async ({ find }: Holder, kept: ReadonlyArray<Kept>, areThere = true): Promise<void> => {
  for (const { page, token } of kept) {
    const expected = areThere ? page : undefined
    if (await find(token) !== expected) throw new Error(`A session is ${areThere ? "not" : "still"} there`)
  }
}

// -----------------------------------------------------------------------------

const candidates: { readonly [name: string]: () => Holder | Promise<Holder> } = {
  "bare data": bareData,
  "effect-session": effectSession,
  "express-session": express,
  "hono-sessions": hono
}

const holder = await candidates[process.argv[2]!]!()

answerWith<Question, Answer>(async ({ bytes, sessions, sweeps }) => {
  // Whatever the first sessions bring into being is not theirs.
  await check(holder, fill(holder, bytes, 1_000))
  const before = usage()
  const early = fill(holder, bytes, sessions / 2, true)
  const late = fill(holder, bytes, sessions / 2)
  const memory = (usage() - before) / sessions
  await check(holder, [...early, ...late])
  const answer = { memory, allAlive: new Array<Sweep>(), halfExpired: new Array<Sweep>() }
  if (holder.sweep === undefined) return answer
  for (let round = 0; round < sweeps; round++) {
    const again = round === 0 ? early : fill(holder, bytes, sessions / 2, true)
    collectGarbage()
    // Until the threads of the garbage collector have finished, which is not what is measured.
    await setTimeout(1_000)
    answer.allAlive.push(await holder.sweep("none"))
    await check(holder, [...again, ...late])
    answer.halfExpired.push(await holder.sweep("early"))
    await check(holder, late)
    await check(holder, again, false)
  }
  return answer
})
