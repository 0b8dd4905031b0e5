import { describe } from "@effect/vitest"
import { Effect } from "effect"
import * as MemoryBackend from "../../../src/internal/drivers/memory/backend.ts"
import * as OwnerLaws from "../../support/ownerLaws.ts"

describe("the sessions of an owner, in memory", () => {
  OwnerLaws.suite(() => Effect.sync(() => MemoryBackend.make(100_000)))
})
