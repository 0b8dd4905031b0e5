/**
 * What a request has done to its session and not yet committed: one edit per field. The commit turns it into a
 * {@link Change}.
 *
 * Some edits are functions of the previous value. They run again if the store turns out to hold another one.
 */
import * as Exit from "effect/Exit"
import type { SessionConflictError, SessionValueError } from "../../SessionError.ts"
import * as Change from "./change.ts"
import * as Edits from "./edits.ts"
import * as Flash from "./flash.ts"
import { LazyFields, lengthAtMost, linesOf } from "./lazyFields.ts"
import * as Lines from "./lines.ts"
import type { Fields } from "./record.ts"
import * as Scope from "./scope.ts"

export interface Draft {
  /** Removes the stored fields up to this scope first. `"device"` removes all of them. */
  readonly clears: Scope.Scope | undefined
  readonly edits: Edits.Edits<Edit> | undefined
  /** What the last clear has undone. It writes nothing, but the values that its functions have taken must still be stored. */
  readonly undone: Draft | undefined
}

type Edit = Put | Removal | Addition | Flashing | Rewritten

interface Put {
  readonly _tag: "Put"
  readonly text: string
}

interface Removal {
  readonly _tag: "Removal"
}

/** Added by the store to its current value. */
interface Addition {
  readonly _tag: "Addition"
  readonly increment: Change.Increment
}

/** Flash messages, encoded once all of them are known. */
interface Flashing {
  readonly _tag: "Flashing"
  readonly messages: Flash.Messages
}

/** The result of functions of the previous value. */
interface Rewritten {
  readonly _tag: "Rewritten"
  readonly seen: string | undefined
  readonly rewrites: Rewrites
  readonly text: string | undefined
  /** Whether the text does not depend on the previous value. */
  readonly isFixed: boolean
}

interface Rewrites {
  readonly last: Rewrite
  readonly before: Rewrites | undefined
}

/** Computes the new text of a field from the previous one. */
export type Rewrite = (text: string | undefined) => Rewriting<string | undefined>

export type Rewriting<A, E = never> = Exit.Exit<A, E | SessionValueError | SessionConflictError>

// -----------------------------------------------------------------------------
// what the request sees
// -----------------------------------------------------------------------------

export const empty: Draft = { clears: undefined, edits: undefined, undone: undefined }

export const isEmpty = ({ clears, edits }: Draft): boolean => clears === undefined && edits === undefined

const editOf = ({ edits }: Draft, field: string): Edit | undefined => Edits.get(edits, field)

/** What a field holds as this request sees it; `base` is what was loaded. */
export const seen = (draft: Draft, base: Fields, field: string): string | undefined => {
  const edit = editOf(draft, field)
  if (edit !== undefined) return textOf(edit, base.get(field))
  return Scope.ends(draft.clears, field) ? undefined : base.get(field)
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

/** Whether the request has edited a field. */
export const isEdited = (draft: Draft, field: string): boolean =>
  editOf(draft, field) !== undefined || Scope.ends(draft.clears, field)

/** Whether the request gives a field another text. */
export const changes = (draft: Draft, base: Fields, field: string): boolean =>
  (draft.clears !== undefined || editOf(draft, field) !== undefined) && seen(draft, base, field) !== base.get(field)

/** All fields as the request sees them. */
export const fieldsOf = (draft: Draft, base: Fields): Fields =>
  isEmpty(draft) ? base : new SeenFields(draft, base instanceof SeenFields ? base.all : base)

class SeenFields extends LazyFields {
  readonly #draft: Draft
  readonly #base: Fields

  constructor(draft: Draft, base: Fields) {
    super()
    this.#draft = draft
    this.#base = base
  }

  protected find(field: string): string | undefined {
    return seen(this.#draft, this.#base, field)
  }

  protected collect(): Fields {
    const { clears, edits } = this.#draft
    const fields = new Map(clears === "device" ? [] : this.#base)
    if (clears !== undefined) { for (const field of fields.keys()) if (Scope.ends(clears, field)) fields.delete(field) }
    Edits.forEach(edits, (edit, field) => {
      const text = textOf(edit, this.#base.get(field))
      if (text === undefined) fields.delete(field)
      else fields.set(field, text)
    })
    return fields
  }

  override get lines(): string {
    const { clears, edits } = this.#draft
    // Each edit copies the text.
    if (!Edits.areAtMost(edits, 4) || clears !== undefined && clears !== "device") return super.lines
    let lines = clears === undefined ? linesOf(this.#base) : ""
    Edits.forEach(edits, (edit, field) => {
      const text = textOf(edit, this.#base.get(field))
      lines = text === undefined ? Lines.remove(lines, field) : Lines.put(lines, field, text)
    })
    return lines
  }

  get lengthAtMost(): number {
    const { clears, edits } = this.#draft
    let length = clears === "device" ? 0 : lengthAtMost(this.#base)
    Edits.forEach(edits, (edit, field) => {
      length += field.length + lengthAtMostOf(edit, this.#base.get(field))
    })
    return length
  }
}

// Messages are at least as long one by one as encoded together.
const lengthAtMostOf = (edit: Edit, before: string | undefined): number =>
  edit._tag === "Flashing" ? Flash.lengthAtMost(edit.messages) : textOf(edit, before)?.length ?? 0

/** Whether the request sees any field. */
export const hasFields = (draft: Draft, base: Fields): boolean => {
  let isAdded = false
  Edits.forEach(draft.edits, (edit) => {
    isAdded ||= edit._tag === "Rewritten" ? edit.text !== undefined : edit._tag !== "Removal"
  })
  return isAdded || draft.clears !== "device" && base.size > 0 && fieldsOf(draft, base).size > 0
}

// -----------------------------------------------------------------------------
// what the request does
// -----------------------------------------------------------------------------

const edited = ({ clears, edits, undone }: Draft, field: string, edit: Edit): Draft => ({
  clears,
  edits: Edits.add(edits, field, edit),
  undone
})

export const put = (draft: Draft, field: string, text: string): Draft => {
  const before = editOf(draft, field)
  return edited(
    draft,
    field,
    // A value that a function has taken must still be stored, whatever replaces it.
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
  if (before === undefined && !Scope.ends(draft.clears, field)) {
    return edited(draft, field, { _tag: "Addition", increment })
  }
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

/** Applies a function; `text` is its result on what the request sees, `undefined` to remove the field. */
export const rewrite = (
  draft: Draft,
  base: Fields,
  field: string,
  rewrite: Rewrite,
  text: string | undefined
): Draft => {
  const before = editOf(draft, field)
  if (before?._tag === "Rewritten") return edited(draft, field, then(before, rewrite, text))
  if (before === undefined ? Scope.ends(draft.clears, field) : before._tag !== "Addition") {
    // The function saw a value that this request has put itself.
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

/** Takes back all messages. */
export const unflash = (draft: Draft, base: Fields, field: string): Draft =>
  base.has(field) ? remove(draft, field) : without(draft, (one) => one === field)

/**
 * Removes all fields except those that are `kept`: these stay as stored, even if another request is just changing them. A
 * session that replaces an ended one has nothing to keep but what the request itself has put.
 */
export const clear = (draft: Draft, base: Fields = nowhere, kept: ReadonlyArray<string> = []): Draft =>
  kept.reduce<Draft>(
    (cleared, field) => edited(cleared, field, keeping(draft, base, field)),
    end(draft, "device", kept)
  )

/** Removes the fields up to this scope, including those that another request is just putting. */
export const end = (draft: Draft, reach: Scope.Scope, kept: ReadonlyArray<string> = []): Draft => ({
  clears: Scope.further(draft.clears, reach),
  edits: Edits.filterMap(draft.edits, (edit, field) => Scope.ends(reach, field) ? undefined : edit),
  undone: hasRewritten(draft, reach, kept) ? draft : draft.undone
})

const nowhere: Fields = new Map()

const keeping = (draft: Draft, base: Fields, field: string): Edit =>
  editOf(draft, field) ?? (Scope.ends(draft.clears, field) ? removal : asItIs(base.get(field)))

const asItIs = (seen: string | undefined): Rewritten => ({
  _tag: "Rewritten",
  seen,
  rewrites: { last: Exit.succeed, before: undefined },
  text: seen,
  isFixed: false
})

const hasRewritten = ({ edits }: Draft, reach: Scope.Scope, kept: ReadonlyArray<string>): boolean => {
  let found = false
  Edits.forEach(edits, (edit, field) => {
    found ||= isRewritten(edit) && Scope.ends(reach, field) && !kept.includes(field)
  })
  return found
}

const isRewritten = (edit: Edit): edit is Rewritten => edit._tag === "Rewritten"

// -----------------------------------------------------------------------------
// committing
// -----------------------------------------------------------------------------

/** The change to ask the store for; `base` is what was loaded. */
export const changeOf = (draft: Draft, touch: boolean, base: Fields = nowhere): Change.Change => {
  let set: Map<string, string> | undefined
  let remove = endedIn(draft, base)
  let increment: Map<string, Change.Increment> | undefined
  let expect = draft.undone && expectedBy(draft.undone)
  Edits.forEach(draft.edits, (edit, field) => {
    if (edit._tag === "Addition") {
      increment = (increment ?? new Map()).set(field, edit.increment)
      return
    }
    if (isRewritten(edit)) expect = (expect ?? new Map()).set(field, edit.seen)
    const text = textOf(edit, undefined)
    if (text === undefined) remove = (remove ?? new Set()).add(field)
    else set = (set ?? new Map()).set(field, text)
  })
  const { none } = Change
  return {
    clear: draft.clears === "device",
    set: set ?? none.set,
    remove: remove ?? none.remove,
    increment: increment ?? none.increment,
    touch,
    expect: expect ?? none.expect
  }
}

/** The fields that are removed because of their scope, if not all of them are. */
const endedIn = ({ clears, edits }: Draft, base: Fields): Set<string> | undefined =>
  clears === undefined || clears === "device"
    ? undefined
    : new Set([...base.keys()].filter((field) => Scope.ends(clears, field) && Edits.get(edits, field) === undefined))

const expectedBy = (draft: Draft): Map<string, string | undefined> => {
  const expected = draft.undone === undefined ? new Map<string, string | undefined>() : expectedBy(draft.undone)
  Edits.forEach(draft.edits, (edit, field) => {
    if (isRewritten(edit)) expected.set(field, edit.seen)
  })
  return expected
}

/** The same draft on top of other fields: its functions run again. */
export const rebase = (draft: Draft, base: Fields): Rewriting<Draft> => {
  const failures: Array<Rewriting<never>> = []
  const edits = Edits.filterMap(draft.edits, (edit, field): Edit => {
    if (failures.length > 0 || !isRewritten(edit)) return edit
    const again = rewriteAgain(edit, base.get(field))
    if (Exit.isSuccess(again)) return again.value
    failures.push(Exit.failCause(again.cause))
    return edit
  })
  if (failures.length > 0) return failures[0]!
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

/** What is overwritten without looking at it. */
export const overwrittenBy = (draft: Draft): Change.Overwritten => {
  if (draft.clears === "device") return "everything"
  const fields = draft.clears === undefined ? [] : [Scope.asField(draft.clears)]
  Edits.forEach(draft.edits, (edit, field) => {
    if (isFixed(edit)) fields.push(field)
  })
  return fields
}

const isFixed = (edit: Edit): boolean =>
  edit._tag === "Put" || edit._tag === "Removal" || isRewritten(edit) && edit.isFixed

/**
 * What a request commits to the successor of a session that was regenerated in the meantime, as if the request had come
 * first: it leaves alone what the regenerating request overwrote. Of the other fields that have changed since, it changes only
 * those that it has functions for.
 */
export const ontoSuccessor = (
  draft: Draft,
  base: Fields,
  there: Fields,
  overwritten: Change.Overwritten
): Rewriting<Change.Change> => {
  if (typeof overwritten === "string") return Exit.succeed(Change.none)
  const names = new Set(overwritten)
  const isLost = (field: string) => Scope.isIn(names, field)
  return Exit.map(rebase(without(draft, isLost), there), (rebased) => {
    const change = changeOf(rebased, false)
    const isUnchanged = (field: string) => there.get(field) === base.get(field)
    const isCleared = (field: string) => Scope.ends(draft.clears, field) && !isLost(field) && !change.set.has(field)
    const cleared = draft.clears === undefined ? [] : [...base.keys()].filter(isCleared)
    const isMeant = (field: string) => change.expect.has(field) || isUnchanged(field)
    const remove = new Set([...change.remove, ...cleared].filter(isMeant))
    const set = new Map([...change.set].filter(([field]) => isMeant(field)))
    const expect = new Map(change.expect)
    for (const field of [...remove, ...set.keys()]) expect.set(field, there.get(field))
    return { ...change, clear: false, set, remove, expect }
  })
}

const without = (draft: Draft, isMeant: (field: string) => boolean): Draft => ({
  clears: draft.clears,
  edits: Edits.filterMap(draft.edits, (edit, field) => isMeant(field) ? undefined : edit),
  undone: draft.undone && without(draft.undone, isMeant)
})
