/** Doc comments, as they stand in the source. */
import ts from "typescript"

/** A doc comment without its stars. */
export interface Documentation {
  readonly text: string
  readonly tags: Readonly<Record<string, string>>
}

export const documentationOf = (node: ts.Node): Documentation => parseComment(commentBefore(node) ?? "")

export const commentBefore = (node: ts.Node): string | undefined => {
  const { text } = node.getSourceFile()
  return ts.getLeadingCommentRanges(text, node.getFullStart())
    ?.map(({ end, pos }) => text.slice(pos, end))
    .findLast((comment) => comment.startsWith("/**"))
}

export const parseComment = (comment: string): Documentation => {
  const lines = comment.replace(/^\/\*\*/, "").replace(/\*\/$/, "").split("\n").map((line) =>
    line.replace(/^ *\* ?/, "")
  )
  const end = lines.findIndex((line) => /^@\w+/.test(line))
  const tags = end === -1 ? [] : lines.slice(end).flatMap((line) => {
    const [, tag, text] = /^@(\w+) *(.*)$/.exec(line) ?? []
    return tag === undefined ? [] : [[tag, text!.trim()]]
  })
  return {
    text: (end === -1 ? lines : lines.slice(0, end)).join("\n").trim(),
    tags: Object.fromEntries(tags)
  }
}
