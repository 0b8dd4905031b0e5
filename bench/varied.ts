/**
 * Sessions that differ from each other, all of the same size: of one text, measured again and again, processors and
 * engines remember too much.
 */
import { type Content, contentOf } from "./content.ts"

/** {@link contentOf} so many bytes as JSON text, another one for each index. */
export const textOf = (bytes: number, index: number): string =>
  templateOf(bytes)
    .replaceAll("abcdefghij", String(index).padStart(10, "0"))
    .replace("/start", `/${index.toString(36).padStart(5, "0")}`)

/** The same, parsed: as everywhere where contents come in from outside, no two sessions share a text of theirs. */
export const variedContentOf = (bytes: number, index: number): Content => JSON.parse(textOf(bytes, index)) as Content

const templateOf = (bytes: number): string => {
  const known = templates.get(bytes)
  if (known !== undefined) return known
  const template = JSON.stringify(contentOf(bytes))
  templates.set(bytes, template)
  return template
}
const templates = new Map<number, string>()
