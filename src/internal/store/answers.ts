/**
 * Answers of a store, created once.
 */
import type { Conflict, Gone, Loaded, NotFoundReason, Taken, Written } from "../../SessionStore.ts"
import type { SessionRecord } from "../record/record.ts"
import { type Id, Token } from "../token/secret.ts"

export const gone: Gone = { _tag: "Gone" }
export const taken: Taken = { _tag: "Taken" }
export const conflict = (record: SessionRecord): Conflict => ({ _tag: "Conflict", record })
export const isConflict = (answer: boolean | SessionRecord | Conflict | undefined): answer is Conflict =>
  typeof answer === "object" && "_tag" in answer
export const superseded = (id: Id): Loaded => ({ _tag: "Superseded", id })
export const written = (token?: string): Written =>
  token === undefined ? unchanged : { _tag: "Written", token: new Token(token) }
export const unchanged: Written = { _tag: "Written", token: undefined }

/** The token was not made here. */
export const notOurs: { readonly [Reason in Extract<NotFoundReason, "malformed" | "tampered">]: Loaded } = {
  malformed: { _tag: "NotFound", reason: "malformed" },
  tampered: { _tag: "NotFound", reason: "tampered" }
}
export const unknown = (id: Id): Loaded => ({ _tag: "NotFound", reason: "unknown", id })
export const expired = (id: Id, record: SessionRecord): Loaded => ({ _tag: "NotFound", reason: "expired", id, record })
