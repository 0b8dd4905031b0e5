/**
 * What holds for the sessions of an owner on every back end, whatever happens in between.
 */
import { assert, it } from "@effect/vitest"
import { Cause, Clock, Effect, Exit, Layer, Option, Redacted, type Scope } from "effect"
import { Session, SessionConfig, SessionError, type SessionOwners, Sessions, SessionStore } from "effect-session"
import { TestClock } from "effect/testing"
import * as Crypto from "node:crypto"
import { secret } from "./config.ts"
import { everyOrder, type Program } from "./interleave.ts"
import { Basket, Name } from "./routes.ts"

export type MakeBackend = Effect.Effect<
  SessionStore.Backend & { readonly owners: SessionStore.OwnerIndex },
  unknown,
  Scope.Scope
>

type Needed = SessionStore.SessionStore | SessionOwners.SessionOwners | SessionConfig.SessionConfig

type Services = Needed | SessionOwners.SessionIndex

/** A server of its own on the back end. */
const onServer =
  <A, E>(effect: Effect.Effect<A, E, Services>, options: SessionConfig.Options = {}) =>
  (backend: SessionStore.Backend): Effect.Effect<A, unknown> =>
    Effect.provide(
      effect,
      Layer.provideMerge(
        SessionStore.layer(SessionStore.fromBackend(backend as Effect.Success<MakeBackend>)),
        SessionConfig.layer({ secret, age: "1 hour", absoluteAge: "1 day", ...options })
      ),
      { local: true }
    )

const load = (token: Redacted.Redacted<string>) =>
  Effect.flatMap(SessionStore.SessionStore, (store) => store.load(new SessionStore.Token(Redacted.value(token))))

const isAlive = (token: Redacted.Redacted<string>) => Effect.map(load(token), ({ _tag }) => _tag === "Found")

const ownerOf = (token: Redacted.Redacted<string>) =>
  Effect.flatMap(
    Sessions.open({ token }, { readonly: true }),
    (session) => Effect.provideService(Session.owner, Session.Session, session)
  ).pipe(Effect.map(Option.getOrUndefined))

const handleOf = (token: Redacted.Redacted<string>) =>
  Effect.flatMap(
    Sessions.open({ token }, { readonly: true }),
    (session) => Effect.provideService(Session.handle, Session.Session, session)
  )

/** Whose the session is, and what is in the basket; nothing if it is not alive. */
const holding = Effect.fnUntraced(function*(token: Token) {
  if (Option.isNone(token) || !(yield* isAlive(token.value))) return undefined
  const session = yield* Sessions.open({ token: token.value }, { readonly: true })
  const [owner, basket] = yield* Effect.provideService(Effect.all([Session.owner, Basket]), Session.Session, session)
  return [`${Option.getOrElse(owner, () => "nobody")}:`, ...basket].join(" ")
})

/** A request that comes with what is no session any more has none. */
const tokenIn = (exit: Exit.Exit<unknown, unknown>): Effect.Effect<Token> => {
  if (Exit.isSuccess(exit)) return Effect.succeed(exit.value as Token)
  assert.instanceOf(Cause.squash(exit.cause), SessionError.SessionGoneError)
  return Effect.succeed(Option.none())
}

const handles = (owner: string) =>
  Effect.map(Sessions.list(owner), ({ sessions }) => sessions.map(({ handle }) => handle).toSorted())

let owners = 0
/** Nobody else has sessions of this one. */
const newOwner = () => `owner ${++owners} ${Math.random()}`

/** What a request does, and the session that it is done to, if there is one before. */
export interface Case {
  readonly begin: (owner: string) => Effect.Effect<Redacted.Redacted<string> | undefined, unknown, Needed>
  readonly request: (
    owner: string,
    token: Redacted.Redacted<string> | undefined
  ) => Effect.Effect<Option.Option<Redacted.Redacted<string>>, unknown, Needed>
  /** Whether it makes a session of the owner's; otherwise it had one before. */
  readonly isLogin: boolean
  /** Whether it takes too many steps to try all orders. */
  readonly isLong?: boolean
}

type Token = Option.Option<Redacted.Redacted<string>>

const put = Session.put(Name, "Ada")

const anonymous: Case["begin"] = () => Effect.map(Sessions.create(put), ({ token }) => token)
export const owned: Case["begin"] = (owner) =>
  Effect.map(Sessions.create(Effect.andThen(Session.login(owner), put)), ({ token }) => token)

/** Something in it stays when the owner logs out. */
const ownedWithBasket: Case["begin"] = (owner) =>
  Effect.map(
    Sessions.create(Effect.andThen(Session.login(owner), Session.put(Basket, ["tea"]))),
    ({ token }) => token
  )

/** Whether the session of before is the owner's. */
export const isOwned = (begin: Case["begin"]): boolean => begin === owned || begin === ownedWithBasket

const anonymousWithBasket: Case["begin"] = () =>
  Effect.map(Sessions.create(Session.put(Basket, ["tea"])), ({ token }) => token)

const tokenOf = ({ token }: Sessions.Committed) => token

/** A request of somebody who has a session. */
const withSession = (work: (owner: string) => Work): Case["request"] => (owner, token) =>
  Effect.map(Sessions.modify({ token: token! }, work(owner)), tokenOf)

type Work = Effect.Effect<unknown, unknown, Session.Session>

export const cases: Readonly<Record<string, Case>> = {
  "a login": {
    begin: () => Effect.undefined,
    request: (owner) => Effect.map(Sessions.create(Session.login(owner)), ({ token }) => Option.some(token)),
    isLogin: true
  },
  "a login with an anonymous session": {
    begin: anonymous,
    request: withSession((owner) => Session.login(owner)),
    isLogin: true
  },
  "a login that regenerates before and after": {
    begin: anonymous,
    request: withSession((owner) =>
      Effect.andThen(Session.regenerate, Effect.andThen(Session.login(owner), Session.regenerate))
    ),
    isLogin: true
  },
  "a second login in the same session": {
    begin: owned,
    request: withSession((owner) => Session.login(owner)),
    isLogin: true
  },
  "a login after a logout in the same request": {
    begin: ownedWithBasket,
    request: withSession((owner) => Effect.andThen(Session.logout, Session.login(owner))),
    isLogin: true,
    isLong: true
  },
  "a login of somebody else": {
    begin: ownedWithBasket,
    request: withSession((owner) => Session.login(`not ${owner}`)),
    isLogin: false
  },
  "a request that regenerates the session": {
    begin: owned,
    request: withSession(() => Session.regenerate),
    isLogin: false
  },
  "a request that writes": {
    begin: owned,
    request: withSession(() => Session.put(Name, "Grace")),
    isLogin: false
  },
  "a request that extends the session": {
    begin: owned,
    request: withSession(() => Effect.andThen(Session.touch, Session.put(Name, "Grace"))),
    isLogin: false
  },
  "a logout": {
    begin: owned,
    request: withSession(() => Session.logout),
    isLogin: false
  },
  "a logout that keeps something": {
    begin: ownedWithBasket,
    request: withSession(() => Session.logout),
    isLogin: false
  },
  "a request that ends the session": {
    begin: owned,
    request: (_, token) => Effect.map(Sessions.destroy({ token: token! }), tokenOf),
    isLogin: false
  }
}

export interface Options {
  /** So many orders of the steps are tried, by chance, where all of them would take too long. */
  readonly orders?: number
}

/** Registers the tests. */
export const suite = (makeBackend: () => MakeBackend, { orders }: Options = {}): void => {
  const test = (title: string, effect: (backend: Effect.Success<MakeBackend>) => Effect.Effect<void, unknown>) =>
    it.effect(title, () =>
      Effect.scoped(Effect.gen(function*() {
        // The expiry of a back end's own goes by the real clock.
        yield* TestClock.setTime(yield* TestClock.withLive(Clock.currentTimeMillis))
        yield* effect(yield* makeBackend())
      })), 120_000)

  for (const [title, { begin, isLogin, isLong, request }] of Object.entries(cases)) {
    test(`V7.4.2, V7.4.3 destroyAll and ${title}: whatever the order of their steps, no session of before survives`, (backend) =>
      Effect.gen(function*() {
        const count = yield* everyOrder(
          Effect.fnUntraced(function*(play) {
            const owner = newOwner()
            const before = yield* onServer(begin(owner))(backend)
            const { exits, steps } = yield* play(backend, {
              A: onServer(Effect.suspend(() => request(owner, before))),
              B: onServer(Effect.suspend(() => Sessions.destroyAll(owner)))
            })
            const trace = steps.join(", ")
            assert.isTrue(Exit.isSuccess(exits.B), trace)
            yield* onServer(Effect.gen(function*() {
              // What takes the place of a session that was ended is nobody's.
              const after = Exit.isSuccess(exits.A) ? Option.toArray(exits.A.value as Token) : []
              const own = yield* Effect.filter(after, (token) => Effect.map(ownerOf(token), (id) => id === owner))
              const isKnownBefore = steps.slice(0, steps.findIndex((step) => step.startsWith("B"))).includes("A add")
              if (isOwned(begin)) {
                assert.isFalse(yield* isAlive(before!), `${trace}: the session of before is alive`)
              }
              if (!isLogin || isKnownBefore) assert.deepStrictEqual(own, [], `${trace}: the session is alive`)
              // What is alive can be found, and ended.
              const names = yield* Effect.forEach(own, handleOf)
              assert.deepStrictEqual(yield* handles(owner), names.toSorted(), `${trace}: the list`)
              yield* Sessions.destroyAll(owner)
              assert.deepStrictEqual(yield* Effect.filter(own, isAlive), [], trace)
            }))(backend)
          }),
          { atMost: orders ?? (isLong ? 300 : Infinity) }
        )
        assert.isAbove(count, 1)
      }))

    test(`${title} that breaks off: the list has what there is, and the index forgets the rest`, (backend) =>
      Effect.gen(function*() {
        for (let stop = 0;; stop++) {
          const owner = newOwner()
          const before = yield* onServer(begin(owner))(backend)
          let written: Token = Option.none()
          const { hasStopped } = yield* breakOff(
            backend,
            onServer(
              Effect.tap(Effect.suspend(() => request(owner, before)), (token) => Effect.sync(() => (written = token)))
            ),
            stop
          )
          yield* onServer(
            Effect.gen(function*() {
              const tokens = [...Option.toArray(written), ...before === undefined ? [] : [before]]
              const own = yield* Effect.filter(tokens, (token) => Effect.map(ownerOf(token), (id) => id === owner))
              const names = [...new Set(yield* Effect.forEach(own, handleOf))].toSorted()
              const listed = yield* handles(owner)
              // The request may have broken off after the last step that counts, before anybody was told.
              if (hasStopped) assert.includeMembers(listed, names)
              else assert.deepStrictEqual(listed, names)
              // Nobody writes a session any more that was to be written then.
              yield* TestClock.adjust("3 hours")
              const alive = yield* handles(owner)
              const entries = yield* backend.owners.list(hashOf(owner), 100)
              assert.deepStrictEqual([...new Set(entries.map(({ key }) => key.slice(0, 16)))].toSorted(), alive)
              yield* Sessions.destroyAll(owner)
              assert.deepStrictEqual(
                yield* Effect.filter(tokens, (token) => Effect.map(ownerOf(token), (id) => id === owner)),
                []
              )
            }),
            { age: "12 hours" }
          )(backend)
          if (!hasStopped) break
        }
      }))
  }

  test("destroyHandle and a request that regenerates the session: what is said to have ended is not alive", (backend) =>
    Effect.gen(function*() {
      const { request } = cases["a request that regenerates the session"]!
      yield* everyOrder(
        Effect.fnUntraced(function*(play) {
          const owner = newOwner()
          const before = yield* onServer(owned(owner))(backend)
          const handle = yield* onServer(handleOf(before!))(backend)
          const { exits, steps } = yield* play(backend, {
            A: onServer(Effect.suspend(() => request(owner, before))),
            B: onServer(Effect.suspend(() => Sessions.destroyHandle(owner, handle)))
          })
          const trace = steps.join(", ")
          yield* onServer(Effect.gen(function*() {
            const after = Exit.isSuccess(exits.A) ? Option.toArray(exits.A.value as Token) : []
            const own = yield* Effect.filter(after, (token) => Effect.map(ownerOf(token), (id) => id === owner))
            assert(Exit.isSuccess(exits.B), trace)
            assert.strictEqual(exits.B.value, own.length === 0, trace)
            assert.isFalse(yield* isAlive(before!), trace)
            assert.deepStrictEqual(yield* handles(owner), yield* Effect.forEach(own, handleOf), trace)
          }))(backend)
        }),
        { atMost: orders }
      )
    }))

  test("a login and a logout of one session: it ends, and of those that come of it, one at most has the basket", (backend) =>
    Effect.gen(function*() {
      for (const begin of [anonymousWithBasket, ownedWithBasket]) {
        const held = new Set<string>()
        yield* everyOrder(
          Effect.fnUntraced(function*(play) {
            const owner = newOwner()
            const before = yield* onServer(begin(owner))(backend)
            const { exits, steps } = yield* play(backend, {
              A: onServer(Effect.suspend(() => withSession(Session.login)(owner, before))),
              B: onServer(Effect.suspend(() => withSession(() => Session.logout)(owner, before)))
            })
            const trace = steps.join(", ")
            yield* onServer(Effect.gen(function*() {
              assert.isFalse(yield* isAlive(before!), `${trace}: the session of before is alive`)
              const login = yield* tokenIn(exits.A)
              const ofLogin = yield* holding(login)
              const ofLogout = yield* holding(yield* tokenIn(exits.B))
              const alive = ofLogin === undefined ? [] : [yield* handleOf(Option.getOrThrow(login))]
              assert.deepStrictEqual(yield* handles(owner), alive, `${trace}: the list`)
              held.add([ofLogin?.replace(owner, "the owner") ?? "-", ofLogout ?? "-"].join(" and "))
            }))(backend)
          }),
          { atMost: orders }
        )
        // What the login's session holds in the end, and the logout's.
        assert.includeMembers(
          ["the owner: tea and -", "- and -", "the owner: and nobody: tea", "- and nobody: tea"],
          [...held]
        )
        assert.isAbove(held.size, 1)
      }
    }))

  test("a session whose entry is renewed is listed once, also on pages of one", (backend) =>
    Effect.gen(function*() {
      const owner = newOwner()
      yield* onServer(Effect.gen(function*() {
        const token = (yield* owned(owner))!
        for (let use = 0; use < 5; use++) {
          yield* TestClock.adjust("50 minutes")
          yield* Sessions.modify({ token }, Session.get(Name))
        }
        const found: Array<string> = []
        let after: string | undefined
        do {
          const page = yield* Sessions.list(owner, { limit: 1, ...(after !== undefined && { after }) })
          found.push(...page.sessions.map(({ handle }) => handle))
          after = Option.getOrUndefined(page.next)
        } while (after !== undefined)
        assert.deepStrictEqual(found, [yield* handleOf(token)])
      }))(backend)
    }))

  test("destroyAll ends also what lives only by the settings of another server", (backend) =>
    Effect.gen(function*() {
      const owner = newOwner()
      const shop = { age: "10 days", absoluteAge: "30 days" } as const
      const token = (yield* onServer(owned(owner), shop)(backend))!
      yield* TestClock.adjust("1 day")
      const job = { age: "10 minutes" } as const
      assert.deepStrictEqual(yield* onServer(handles(owner), job)(backend), [])
      assert.lengthOf(yield* onServer(handles(owner), shop)(backend), 1)
      yield* onServer(Sessions.destroyAll(owner), job)(backend)
      assert.isFalse(yield* onServer(isAlive(token), shop)(backend))
    }))

  test("destroyAll that breaks off ends the rest when it is called again", (backend) =>
    Effect.gen(function*() {
      for (let stop = 0;; stop++) {
        const owner = newOwner()
        const tokens = yield* onServer(Effect.forEach([1, 2, 3], () => owned(owner)))(backend)
        const { hasStopped } = yield* breakOff(backend, onServer(Sessions.destroyAll(owner)), stop)
        yield* onServer(Effect.gen(function*() {
          const alive = yield* Effect.forEach(yield* Effect.filter(tokens, (token) => isAlive(token!)), (token) =>
            handleOf(token!))
          assert.deepStrictEqual(yield* handles(owner), alive.toSorted())
          yield* Sessions.destroyAll(owner)
          assert.deepStrictEqual(
            yield* Effect.filter(tokens, (token) =>
              isAlive(token!)),
            []
          )
          assert.deepStrictEqual(yield* backend.owners.list(hashOf(owner), 100), [])
        }))(backend)
        if (!hasStopped) break
      }
    }))

  test("an entry that the index has lost comes back while the session is used", (backend) =>
    Effect.gen(function*() {
      const owner = newOwner()
      yield* onServer(Effect.gen(function*() {
        const token = (yield* owned(owner))!
        yield* backend.owners.remove(hashOf(owner), yield* backend.owners.list(hashOf(owner), 100))
        assert.deepStrictEqual(yield* handles(owner), [])
        for (let use = 0; use < 3; use++) {
          yield* TestClock.adjust("50 minutes")
          yield* Sessions.modify({ token }, Session.get(Name))
        }
        assert.deepStrictEqual(yield* handles(owner), [yield* handleOf(token)])
      }))(backend)
    }))
}

/** Runs the program up to one of its steps, if it has as many. */
const breakOff = Effect.fnUntraced(function*(backend: SessionStore.Backend, program: Program, stop: number) {
  let hasStopped = false
  yield* everyOrder((play) =>
    Effect.map(play(backend, { A: program, B: () => Effect.void }), ({ exits }) => {
      hasStopped = Exit.isFailure(exits.A) && Cause.squash(exits.A.cause) === "stopped"
    }), { stops: { A: stop } })
  return { hasStopped }
})

const hashOf = (owner: string) => Crypto.hash("sha256", owner, "base64url")
