/**
 * What holds for the sessions of an owner on every back end, whatever happens in between.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Layer, Option, Redacted, type Scope } from "effect"
import { Session, SessionConfig, type SessionOwners, Sessions, SessionStore } from "effect-session"
import { secret } from "./config.ts"
import { everyOrder } from "./interleave.ts"
import { Name } from "./routes.ts"

export type MakeBackend = Effect.Effect<
  SessionStore.Backend & { readonly owners: SessionStore.OwnerIndex },
  unknown,
  Scope.Scope
>

type Services = SessionStore.SessionStore | SessionOwners.SessionOwners | SessionConfig.SessionConfig

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

const handles = (owner: string) =>
  Effect.map(Sessions.list(owner), ({ sessions }) => sessions.map(({ handle }) => handle).toSorted())

let owners = 0
/** Nobody else has sessions of this one. */
const newOwner = () => `owner ${++owners} ${Math.random()}`

/** What a request does, and the session that it is done to, if there is one before. */
interface Case {
  readonly begin: (owner: string) => Effect.Effect<Redacted.Redacted<string> | undefined, unknown, Services>
  readonly request: (
    owner: string,
    token: Redacted.Redacted<string> | undefined
  ) => Effect.Effect<Option.Option<Redacted.Redacted<string>>, unknown, Services>
  /** Whether it makes a session of the owner's; otherwise it had one before. */
  readonly isLogin: boolean
}

type Token = Option.Option<Redacted.Redacted<string>>

const put = Session.put(Name, "Ada")

const anonymous: Case["begin"] = () => Effect.map(Sessions.create(put), ({ token }) => token)
const owned: Case["begin"] = (owner) =>
  Effect.map(Sessions.create(Effect.andThen(Session.setOwner(owner), put)), ({ token }) => token)

const tokenOf = ({ token }: Sessions.Committed) => token

const cases: Readonly<Record<string, Case>> = {
  "a login": {
    begin: () => Effect.undefined,
    request: (owner) => Effect.map(Sessions.create(Session.setOwner(owner)), ({ token }) => Option.some(token)),
    isLogin: true
  },
  "a login with an anonymous session": {
    begin: anonymous,
    request: (owner, token) => Effect.map(Sessions.modify({ token: token! }, Session.setOwner(owner)), tokenOf),
    isLogin: true
  },
  "a login that regenerates before and after": {
    begin: anonymous,
    request: (owner, token) =>
      Effect.map(
        Sessions.modify(
          { token: token! },
          Effect.andThen(Session.regenerate, Effect.andThen(Session.setOwner(owner), Session.regenerate))
        ),
        tokenOf
      ),
    isLogin: true
  },
  "a second login in the same session": {
    begin: owned,
    request: (owner, token) => Effect.map(Sessions.modify({ token: token! }, Session.setOwner(owner)), tokenOf),
    isLogin: true
  },
  "a request that regenerates the session": {
    begin: owned,
    request: (_, token) => Effect.map(Sessions.modify({ token: token! }, Session.regenerate), tokenOf),
    isLogin: false
  },
  "a request that writes": {
    begin: owned,
    request: (_, token) => Effect.map(Sessions.modify({ token: token! }, Session.put(Name, "Grace")), tokenOf),
    isLogin: false
  },
  "a request that extends the session": {
    begin: owned,
    request: (_, token) =>
      Effect.map(
        Sessions.modify({ token: token! }, Effect.andThen(Session.touch, Session.put(Name, "Grace"))),
        tokenOf
      ),
    isLogin: false
  },
  "a logout": {
    begin: owned,
    request: (_, token) => Effect.map(Sessions.destroy({ token: token! }), tokenOf),
    isLogin: false
  }
}

/** Registers the tests. */
export const suite = (makeBackend: () => MakeBackend): void => {
  for (const [title, { begin, isLogin, request }] of Object.entries(cases)) {
    it.live(
      `destroyAll and ${title}: whatever the order of their steps, no session of before survives`,
      () =>
        Effect.gen(function*() {
          const backend = yield* makeBackend()
          const count = yield* everyOrder(Effect.fnUntraced(function*(play) {
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
              if (begin === owned) assert.isFalse(yield* isAlive(before!), `${trace}: the session of before is alive`)
              if (!isLogin || isKnownBefore) {
                assert.deepStrictEqual(own, [], `${trace}: the session is alive`)
              }
              // What is alive can be found, and ended.
              const names = yield* Effect.forEach(own, handleOf)
              assert.deepStrictEqual(yield* handles(owner), names.toSorted(), `${trace}: the list`)
              yield* Sessions.destroyAll(owner)
              assert.deepStrictEqual(yield* Effect.filter(own, isAlive), [], trace)
            }))(backend)
          }))
          assert.isAbove(count, 1)
        }).pipe(Effect.scoped),
      120_000
    )
  }
}
