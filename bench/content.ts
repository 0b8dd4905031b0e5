/**
 * What is in a session: the same for every candidate, so many bytes as JSON text.
 *
 * Besides `page`, which requests read and write, and `count`, which they increment, a session holds items of a size that
 * is usual for its own: 60 bytes each in a small one, 1,000 in a large one.
 */
export type Content = Readonly<Record<string, string | number>>

export const contentOf = (bytes: number): Content => {
  const content: Record<string, string | number> = { page: "/start", count: 1 }
  const itemSize = bytes <= 1_000 ? 60 : bytes <= 10_000 ? 300 : 1_000
  let left = bytes - JSON.stringify(content).length
  for (let index = 0; left > 0; index++) {
    const name = `item${index}`
    const frame = `,"${name}":""`.length
    content[name] = "abcdefghij".repeat(100).slice(0, Math.max(0, Math.min(itemSize, left) - frame))
    left -= itemSize
  }
  return content
}
