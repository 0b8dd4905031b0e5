/**
 * Fields as text: for each, a line feed and its name, then a line feed and its value. JSON text contains no line feeds. These
 * functions find and change fields in the string, without decoding the others.
 *
 * Functions with a `start` work on a longer text whose fields begin there.
 */
import type { Fields } from "./record.ts"

const lineFeed = "\n"

/** Names that need neither quotes nor escapes. */
const isPlain = /^[\w.~-]+$/

/** The line of a field's name. Each name has exactly one. */
const toLine = (name: string): string => isPlain.test(name) ? name : JSON.stringify(name)

const fromLine = (line: string): string => line.startsWith("\"") ? JSON.parse(line) : line

export const encode = (fields: Fields): string => {
  const lines = [""]
  // `forEach`, because iterating allocates an array for each field.
  fields.forEach((value, name) => void lines.push(toLine(name), value))
  // `join` makes a flat string. `+=` makes a tree of strings, which takes three times the memory while it is kept.
  return lines.join(lineFeed)
}

export const decode = (text: string, start: number): Map<string, string> => {
  const fields = new Map<string, string>()
  for (let before = start; before < text.length;) {
    const middle = endOfLine(text, before + 1)
    const end = endOfLine(text, middle + 1)
    fields.set(fromLine(text.slice(before + 1, middle)), text.slice(middle + 1, end))
    before = end
  }
  return fields
}

export const count = (text: string, start: number): number => {
  let lines = 0
  for (let at = start; at < text.length; at = endOfLine(text, at + 1)) lines++
  return lines / 2
}

export const get = (text: string, name: string, start: number): string | undefined => {
  const at = find(text, toLine(name), start)
  return at === -1 ? undefined : text.slice(at, endOfLine(text, at))
}

export const put = (lines: string, name: string, value: string): string => {
  const line = toLine(name)
  const at = find(lines, line, 0)
  return at === -1
    ? `${lines}\n${line}\n${value}`
    : lines.slice(0, at) + value + lines.slice(endOfLine(lines, at))
}

export const remove = (lines: string, name: string): string => {
  const line = toLine(name)
  const at = find(lines, line, 0)
  // Including the line feeds before the name and the value.
  return at === -1 ? lines : lines.slice(0, at - line.length - 2) + lines.slice(endOfLine(lines, at))
}

/** Where the value of the field with this name line begins, -1 if there is no such field. */
const find = (text: string, line: string, start: number): number => {
  // Names and values alternate, so a value that looks like the name is skipped.
  for (let before = start; before < text.length;) {
    const end = endOfLine(text, before + 1)
    if (end - before - 1 === line.length && text.startsWith(line, before + 1)) return end + 1
    before = endOfLine(text, end + 1)
  }
  return -1
}

/** The end of the line that contains `at`: a line feed, or the end of the text. */
export const endOfLine = (text: string, at: number): number => {
  const end = text.indexOf(lineFeed, at)
  return end === -1 ? text.length : end
}
