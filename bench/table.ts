/** Tables in Markdown, which is good to read in a terminal too. */

/** The first column to the left; the others, numbers mostly, to the right, unless they are words. */
export const toTable = (
  head: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  { words = false }: { readonly words?: boolean } = {}
): string => {
  const widths = head.map((_, column) => Math.max(3, ...[head, ...rows].map((row) => row[column]!.length)))
  const isLeft = (column: number) => words || column === 0
  const pad = (cell: string, column: number) =>
    isLeft(column) ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)
  const rule = (width: number, column: number) => isLeft(column) ? "-".repeat(width) : `${"-".repeat(width - 1)}:`
  const lines = [head.map(pad), widths.map(rule), ...rows.map((row) => row.map(pad))]
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n")
}
