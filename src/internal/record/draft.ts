/**
 * What a request has done to its session and the store has not been told: an edit for each field, in a persistent map, so
 * that each operation costs the same however many came before. It becomes a {@link Change} when it is committed.
 *
 * Some edits are functions of what was there. They are done again where the store turns out to hold something else.
 */
import * as Exit from "effect/Exit"
import * as HashMap from "effect/HashMap"
import type { SessionConflictError, SessionValueError } from "../../SessionError.ts"
import * as Change from "./change.ts"
import * as Flash from "./flash.ts"
import type { Fields } from "./record.ts"

export interface Draft {
  /** Whether all that is stored goes first. */
  readonly clears: boolean
  readonly edits: HashMap.HashMap<string, Edit>
  /** The fields that have edits, the last one first. */
  readonly fields: Names | undefined
  /** What the last clear has undone. It writes nothing, but what its functions have taken must still be there. */
  readonly undone: Draft | undefined
}

interface Names {
  readonly last: string
  readonly before: Names | undefined
}

type Edit = Put | Removal | Addition | Flashing | Rewritten

interface Put {
  readonly _tag: "Put"
  readonly text: string
}

interface Removal {
  readonly _tag: "Removal"
}

/** Added by the store itself, to whatever it has. */
interface Addition {
  readonly _tag: "Addition"
  readonly increment: Change.Increment
}

/** Flash messages, encoded only once all of them are there. */
interface Flashing {
  readonly _tag: "Flashing"
  readonly messages: Flash.Messages
}

/** What functions have made of what was there. */
interface Rewritten {
  readonly _tag: "Rewritten"
  readonly seen: string | undefined
  readonly rewrites: Rewrites
  readonly text: string | undefined
  /** Whether the text is the same whatever was there. */
  readonly isFixed: boolean
}

interface Rewrites {
  readonly last: Rewrite
  readonly before: Rewrites | undefined
}

/** What becomes of a field, by what is there. */
export type Rewrite = (text: string | undefined) => Rewriting<string | undefined>

export type Rewriting<A> = Exit.Exit<A, SessionValueError | SessionConflictError>

// -----------------------------------------------------------------------------
// what the request sees
// -----------------------------------------------------------------------------

export const empty: Draft = { clears: false, edits: HashMap.empty(), fields: undefined, undone: undefined }

export const isEmpty = ({ clears, fields }: Draft): boolean => !clears && fields === undefined

const editOf = ({ edits }: Draft, field: string): Edit | undefined => {
  const edit = HashMap.get(edits, field)
  return edit._tag === "Some" ? edit.value : undefined
}

/** What a field holds for the request, where `base` is what was there before. */
export const seen = (draft: Draft, base: Fields, field: string): string | undefined => {
  const edit = editOf(draft, field)
  if (edit !== undefined) return textOf(edit, base.get(field))
  return draft.clears ? undefined : base.get(field)
}

const textOf = (edit: Edit, before: string | undefined): string | undefined => {
  switch (edit._tag) {
    case "Put":
    case "Rewritten":
      return edit.text
    case "Removal":
      return undefined
    case "Addition":
      return Change.addTo(before, edit.increment)
    case "Flashing":
      return Flash.encode(edit.messages)
  }
}

/** The edits in the order in which their fields were first edited. */
const editsOf = ({ edits, fields }: Draft): ReadonlyArray<readonly [field: string, edit: Edit]> => {
  const inTurn: Array<readonly [string, Edit]> = []
  for (let one = fields; one !== undefined; one = one.before) {
    inTurn.push([one.last, HashMap.getUnsafe(edits, one.last)])
  }
  return inTurn.toReversed()
}

/** All that the request sees. */
export const fieldsOf = (draft: Draft, base: Fields): Fields => {
  if (isEmpty(draft)) return base
  const fields = new Map(draft.clears ? [] : base)
  for (const [field, edit] of editsOf(draft)) {
    const text = textOf(edit, base.get(field))
    if (text === undefined) fields.delete(field)
    else fields.set(field, text)
  }
  return fields
}

/** Whether the request sees anything. */
export const hasFields = (draft: Draft, base: Fields): boolean => {
  for (const edit of HashMap.values(draft.edits)) {
    if (edit._tag === "Rewritten" ? edit.text !== undefined : edit._tag !== "Removal") return true
  }
  return !draft.clears && base.size > 0 && fieldsOf(draft, base).size > 0
}

// -----------------------------------------------------------------------------
// what the request does
// -----------------------------------------------------------------------------

const edited = (draft: Draft, field: string, edit: Edit): Draft => ({
  clears: draft.clears,
  edits: HashMap.set(draft.edits, field, edit),
  fields: HashMap.has(draft.edits, field) ? draft.fields : { last: field, before: draft.fields },
  undone: draft.undone
})

export const put = (draft: Draft, field: string, text: string): Draft => {
  const before = editOf(draft, field)
  return edited(
    draft,
    field,
    // What a function has taken must still be there, whatever is put in its place.
    before?._tag === "Rewritten" ? then(before, () => Exit.succeed(text), text, true) : { _tag: "Put", text }
  )
}

const removal: Removal = { _tag: "Removal" }

export const remove = (draft: Draft, field: string): Draft => {
  const before = editOf(draft, field)
  return edited(draft, field, before?._tag === "Rewritten" ? then(before, nothing, undefined, true) : removal)
}

const nothing: Rewrite = () => absent

const absent = Exit.succeed(undefined)

const then = (
  before: Rewritten,
  last: Rewrite,
  text: string | undefined,
  isFixed: boolean = before.isFixed
): Rewritten => ({
  ...before,
  rewrites: { last, before: before.rewrites },
  text,
  isFixed
})

export const add = (draft: Draft, field: string, increment: Change.Increment): Draft => {
  const before = editOf(draft, field)
  if (before === undefined && !draft.clears) return edited(draft, field, { _tag: "Addition", increment })
  if (before?._tag === "Addition") {
    const { by, initial } = before.increment
    return edited(draft, field, { _tag: "Addition", increment: { by: by + increment.by, initial } })
  }
  const sum = (text: string | undefined) => Change.addTo(text, increment)
  const text = sum(before && textOf(before, undefined))
  return before?._tag === "Rewritten"
    ? edited(draft, field, then(before, (text) => Exit.succeed(sum(text)), text))
    : put(draft, field, text)
}

/** Puts what a function has made of what the request sees: `text`, or nothing. */
export const rewrite = (
  draft: Draft,
  base: Fields,
  field: string,
  rewrite: Rewrite,
  text: string | undefined
): Draft => {
  const before = editOf(draft, field)
  if (before?._tag === "Rewritten") return edited(draft, field, then(before, rewrite, text))
  if (before === undefined ? draft.clears : before._tag !== "Addition") {
    // The function has seen what this request itself has put there.
    return text === undefined ? remove(draft, field) : put(draft, field, text)
  }
  const seen = base.get(field)
  const first = before && { last: adding((before as Addition).increment), before: undefined }
  return edited(draft, field, {
    _tag: "Rewritten",
    seen,
    rewrites: { last: rewrite, before: first },
    text,
    isFixed: false
  })
}

const adding = (increment: Change.Increment): Rewrite => (text) => Exit.succeed(Change.addTo(text, increment))

export const flash = (draft: Draft, field: string, messages: Flash.Messages): Draft =>
  edited(draft, field, { _tag: "Flashing", messages })

/** Leaves no messages, after all. */
export const unflash = (draft: Draft, base: Fields, field: string): Draft =>
  base.has(field) ? remove(draft, field) : without(draft, new Set([field]))

export const clear = (draft: Draft): Draft => ({
  clears: true,
  edits: empty.edits,
  fields: undefined,
  undone: hasRewritten(draft) ? draft : draft.undone
})

const hasRewritten = ({ edits }: Draft): boolean => HashMap.some(edits, isRewritten)

const isRewritten = (edit: Edit): edit is Rewritten => edit._tag === "Rewritten"

// -----------------------------------------------------------------------------
// committing
// -----------------------------------------------------------------------------

/** The change that the store is asked for. */
export const changeOf = (draft: Draft, touch: boolean): Change.Change => {
  let set: Map<string, string> | undefined
  let remove: Set<string> | undefined
  let increment: Map<string, Change.Increment> | undefined
  let expect = draft.undone && expectedBy(draft.undone)
  for (const [field, edit] of editsOf(draft)) {
    if (edit._tag === "Addition") {
      increment = (increment ?? new Map()).set(field, edit.increment)
      continue
    }
    if (isRewritten(edit)) expect = (expect ?? new Map()).set(field, edit.seen)
    const text = textOf(edit, undefined)
    if (text === undefined) remove = (remove ?? new Set()).add(field)
    else set = (set ?? new Map()).set(field, text)
  }
  const { none } = Change
  return {
    clear: draft.clears,
    set: set ?? none.set,
    remove: remove ?? none.remove,
    increment: increment ?? none.increment,
    touch,
    expect: expect ?? none.expect
  }
}

const expectedBy = (draft: Draft): Map<string, string | undefined> => {
  const expected = draft.undone === undefined ? new Map<string, string | undefined>() : expectedBy(draft.undone)
  for (const [field, edit] of draft.edits) if (isRewritten(edit)) expected.set(field, edit.seen)
  return expected
}

/** The same draft where something else is there: its functions are done again. */
export const rebase = (draft: Draft, base: Fields): Rewriting<Draft> => {
  let edits = draft.edits
  for (const [field, edit] of draft.edits) {
    if (!isRewritten(edit)) continue
    const again = rewriteAgain(edit, base.get(field))
    if (Exit.isFailure(again)) return Exit.failCause(again.cause)
    edits = HashMap.set(edits, field, again.value)
  }
  if (draft.undone === undefined) return Exit.succeed({ ...draft, edits })
  return Exit.map(rebase(draft.undone, base), (undone) => ({ ...draft, edits, undone }))
}

const rewriteAgain = (edit: Rewritten, seen: string | undefined): Rewriting<Rewritten> => {
  if (seen === edit.seen) return Exit.succeed(edit)
  const inOrder: Array<Rewrite> = []
  for (let one: Rewrites | undefined = edit.rewrites; one !== undefined; one = one.before) inOrder.push(one.last)
  let text = seen
  for (const rewrite of inOrder.toReversed()) {
    const next = rewrite(text)
    if (Exit.isFailure(next)) return Exit.failCause(next.cause)
    text = next.value
  }
  return Exit.succeed({ ...edit, seen, text })
}

/** What is written over, without regard to what is there. */
export const overwrittenBy = (draft: Draft): Change.Overwritten =>
  draft.clears
    ? "everything"
    : editsOf(draft).filter(([, edit]) => isFixed(edit)).map(([field]) => field)

const isFixed = (edit: Edit): boolean =>
  edit._tag === "Put" || edit._tag === "Removal" || isRewritten(edit) && edit.isFixed

/**
 * What a request commits to the successor of a session that was regenerated meanwhile: as if it had come first. So it leaves
 * alone what the regenerating request wrote over, and of the other fields that have changed since, it changes only those that
 * it has functions for.
 */
export const ontoSuccessor = (
  draft: Draft,
  base: Fields,
  there: Fields,
  overwritten: Change.Overwritten
): Rewriting<Change.Change> => {
  if (overwritten === "everything") return Exit.succeed(Change.none)
  const lost = new Set(overwritten)
  return Exit.map(rebase(without(draft, lost), there), (rebased) => {
    const change = changeOf(rebased, false)
    const isUnchanged = (field: string) => there.get(field) === base.get(field)
    const cleared = draft.clears ? [...base.keys()].filter((field) => !lost.has(field) && !change.set.has(field)) : []
    const isMeant = (field: string) => change.expect.has(field) || isUnchanged(field)
    const remove = new Set([...change.remove, ...cleared].filter(isMeant))
    const set = new Map([...change.set].filter(([field]) => isMeant(field)))
    const expect = new Map(change.expect)
    for (const field of [...remove, ...set.keys()]) expect.set(field, there.get(field))
    return { ...change, clear: false, set, remove, expect }
  })
}

const without = (draft: Draft, fields: ReadonlySet<string>): Draft =>
  editsOf(draft).filter(([field]) => !fields.has(field)).reduce<Draft>(
    (rest, [field, edit]) => edited(rest, field, edit),
    { ...empty, clears: draft.clears, undone: draft.undone && without(draft.undone, fields) }
  )
