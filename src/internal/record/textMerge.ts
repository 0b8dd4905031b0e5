/**
 * `merge` on the text of a record: what a change does not touch is copied as it is, and decoded by nobody. For a field that
 * is set in a session of seven and 300 bytes, that allocates a quarter.
 */
import * as Change from "./change.ts"
import { decode, encode, encodeTimes, type Times } from "./record.ts"
import { endOfLine, findValue, toLine } from "./textFields.ts"

export const merge = (text: string, change: Change.Change, times: Times): string => {
  const { clear, increment, remove, set } = change
  // Each of them copies the text, so many at once are better done on a Map.
  if (clear || set.size + remove.size + increment.size > 4) {
    return encode(Change.merge(decode(text), change, times))
  }
  const end = endOfLine(text, 0)
  const head = change.touch ? encodeTimes(Change.merge(decode(text), Change.onlyTouch, times)) : text.slice(0, end)
  let fields = text.slice(end)
  for (const field of remove) fields = removed(fields, field)
  for (const [field, value] of set) fields = replaced(fields, field, value)
  for (const [field, by] of increment) fields = replaced(fields, field, Change.addTo(valueOf(fields, field), by))
  // Joined, it is one string again.
  return [head, fields].join("")
}

const valueOf = (fields: string, field: string): string | undefined => {
  const at = findValue(fields, field, 0)
  return at === -1 ? undefined : fields.slice(at, endOfLine(fields, at))
}

const replaced = (fields: string, field: string, value: string): string => {
  const at = findValue(fields, field, 0)
  return at === -1
    ? `${fields}\n${toLine(field)}\n${value}`
    : fields.slice(0, at) + value + fields.slice(endOfLine(fields, at))
}

const removed = (fields: string, field: string): string => {
  const at = findValue(fields, field, 0)
  return at === -1
    ? fields
    // The line feeds before the name and before the value.
    : fields.slice(0, at - toLine(field).length - 2) + fields.slice(endOfLine(fields, at))
}
