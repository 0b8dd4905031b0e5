/**
 * A session with no more than some of its fields, for back ends that read all of it.
 */
import type { SupersededRecord } from "../../SessionStore.ts"
import type { SessionRecord } from "../record/record.ts"

export const only = <Stored extends SessionRecord | SupersededRecord>(
  stored: Stored,
  fields: ReadonlyArray<string>
): Stored => {
  if ("successor" in stored) return stored
  const some = fields.flatMap((field) => {
    const text = stored.fields.get(field)
    return text === undefined ? [] : [[field, text] as const]
  })
  return { ...stored, fields: new Map(some) }
}
