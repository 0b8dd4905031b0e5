import { type FileSystem, Layer, type Path } from "effect"
import {
  type SessionConfig,
  SessionDriver,
  type SessionError,
  type SessionOwners,
  Sessions,
  type SessionStore
} from "effect-session"
import { describe, expect, it } from "tstyche"

type Built<Provided> = Layer.Layer<
  Provided,
  SessionError.SessionConfigError,
  SessionConfig.SessionConfig | FileSystem.FileSystem | Path.Path
>

const server = Layer.effectDiscard(Sessions.destroyAll("ada"))

describe("SessionDriver", () => {
  it("provides the store of any driver", () => {
    expect(SessionDriver.layerConfig).type.toBe<Built<SessionStore.SessionStore>>()
  })

  it("provides owners only where drivers without them are refused", () => {
    expect(SessionDriver.layerConfigWithOwners).type.toBe<
      Built<SessionStore.SessionStore | SessionOwners.SessionOwners | SessionOwners.SessionIndex>
    >()
    type Needs<L> = L extends Layer.Layer<never, unknown, infer R> ? Extract<R, SessionOwners.SessionOwners> : unknown
    const withOwners = Layer.provide(server, SessionDriver.layerConfigWithOwners)
    const without = Layer.provide(server, SessionDriver.layerConfig)
    expect<Needs<typeof withOwners>>().type.toBe<never>()
    expect<Needs<typeof without>>().type.toBe<SessionOwners.SessionOwners>()
  })
})
