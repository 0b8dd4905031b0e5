/**
 * What a store answers, made once.
 */
import type { Conflict, Gone, Loaded, NotFoundReason, Taken, Written } from "../../SessionStore.ts"
import type { SessionRecord } from "../record/record.ts"
import { Token } from "../token/secret.ts"

export const gone: Gone = { _tag: "Gone" }
export const taken: Taken = { _tag: "Taken" }
export const conflict = (record: SessionRecord): Conflict => ({ _tag: "Conflict", record })
export const isConflict = (answer: boolean | SessionRecord | Conflict | undefined): answer is Conflict =>
  typeof answer === "object" && "_tag" in answer
export const superseded: Loaded = { _tag: "Superseded" }
export const written = (token?: string): Written =>
  token === undefined ? unchanged : { _tag: "Written", token: new Token(token) }
export const unchanged: Written = { _tag: "Written", token: undefined }

const notFoundBecause = (reason: NotFoundReason): Loaded => ({ _tag: "NotFound", reason })
export const notFound: { readonly [Reason in NotFoundReason]: Loaded } = {
  malformed: notFoundBecause("malformed"),
  tampered: notFoundBecause("tampered"),
  unknown: notFoundBecause("unknown"),
  expired: notFoundBecause("expired")
}
