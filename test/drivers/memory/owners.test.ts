import { describe } from "@effect/vitest"
import { Effect } from "effect"
import * as MemoryBackend from "../../../src/internal/drivers/memory/backend.ts"
import * as OwnerIndex from "../../support/ownerIndex.ts"
import * as OwnerLaws from "../../support/ownerLaws.ts"

const backend = Effect.sync(() => MemoryBackend.make(100_000))

OwnerIndex.suite("in memory", { backend, isForSeveral: false })

describe("the sessions of an owner, in memory", () => {
  OwnerLaws.suite(() => backend)
})
