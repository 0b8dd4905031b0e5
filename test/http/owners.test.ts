/**
 * The sessions of an owner over HTTP.
 */
import { SessionStore } from "effect-session"
import * as MemoryBackend from "../../src/internal/drivers/memory/backend.ts"
import { ownerRaces } from "../support/ownerRaces.ts"

const sessions = MemoryBackend.make(100_000)

ownerRaces("the MemoryLayer", { store: () => SessionStore.layer(SessionStore.fromBackend(sessions)) })
