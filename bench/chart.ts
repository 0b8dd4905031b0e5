/**
 * The chart of the measurements: bars of CPU time, as SVG.
 */

export interface Bar {
  readonly name: string
  /** Ours are strong, those of the peers are light, and what is done by hand is without color. */
  readonly kind: "ours" | "peer" | "floor"
  /** One value for each series. */
  readonly values: ReadonlyArray<number>
}

const width = 820
const left = 280
const right = 60
const top = 56
const barHeight = 9
/** For each series. */
const colors = [
  { ours: "#9a6700", peer: "#d4a72c", floor: "#d0d7de" },
  { ours: "#0b62c4", peer: "#8db6e8", floor: "#8c959f" },
  { ours: "#1a7f37", peer: "#8fd19e", floor: "#57606a" }
] as const

/** Each candidate with a bar for each series. What goes beyond `limit` is cut off, with its number beside it. */
export const toChart = (
  title: string,
  series: ReadonlyArray<string>,
  bars: ReadonlyArray<Bar>,
  limit: number
): string => {
  const rowHeight = series.length * (barHeight + 2) + 12
  const height = top + bars.length * rowHeight + 8
  const scale = (value: number) => Math.max(1, Math.min(value, limit) / limit * (width - left - right))
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ` +
    `font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="${escape(title)}">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    `<text x="12" y="22" font-size="15" font-weight="600" fill="#1f2328">${escape(title)}</text>`,
    ...series.map((name, index) =>
      `<rect x="${left + index * 110}" y="34" width="10" height="10" fill="${colors[index]!.ours}"/>` +
      `<text x="${left + index * 110 + 15}" y="43" fill="#1f2328">${escape(name)}</text>`
    ),
    ...bars.flatMap(({ kind, name, values }, row) => {
      const y = top + row * rowHeight
      const middle = y + rowHeight / 2 - 2
      return [
        `<text x="${left - 10}" y="${middle}" text-anchor="end" fill="#1f2328" font-weight="${
          kind === "ours" ? 600 : 400
        }">${escape(name)}</text>`,
        ...values.map((value, index) => {
          const barY = y + index * (barHeight + 2)
          return `<rect x="${left}" y="${barY}" width="${scale(value).toFixed(1)}" height="${barHeight}" fill="${
            colors[index]![kind]
          }"/><text x="${(left + scale(value) + 5).toFixed(1)}" y="${
            barY + barHeight - 1
          }" font-size="10" fill="#57606a">${value < 9.95 ? Math.max(0, value).toFixed(1) : value.toFixed(0)}</text>`
        })
      ]
    }),
    "</svg>",
    ""
  ].join("\n")
}

const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll("\"", "&quot;")
