/**
 * All that may be done to a token on its way.
 */

/** Each bit of the bytes that it spells flipped, one at a time, and spelled in base64url again. */
export const bitFlips = (token: string): ReadonlyArray<string> => {
  const bytes = Buffer.from(token, "base64url")
  return Array.from({ length: bytes.length * 8 }, (_, bit) => {
    const flipped = Buffer.from(bytes)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    return flipped.toString("base64url")
  })
}

/** Each bit of each of its characters flipped, one at a time. */
export const textFlips = (token: string): ReadonlyArray<string> =>
  Array.from({ length: token.length * 16 }, (_, bit) => {
    const at = bit >> 4
    const flipped = String.fromCharCode(token.charCodeAt(at) ^ (1 << (bit & 15)))
    return token.slice(0, at) + flipped + token.slice(at + 1)
  })

/** All that is left when it is cut anywhere, from either end. */
export const truncations = (token: string): ReadonlyArray<string> =>
  Array.from({ length: token.length }, (_, length) => [token.slice(0, length), token.slice(length + 1)]).flat()

/** One character more, in front, behind or anywhere. */
export const extensions = (token: string): ReadonlyArray<string> =>
  ["A", "=", "==", " ", "\n", "\0", ".", "ä", "\ud800", token].flatMap((more) => [
    token + more,
    more + token,
    token.slice(0, 7) + more + token.slice(7)
  ])

/** Other spellings that a lenient decoder of base64 takes for the same bytes. */
export const otherSpellings = (token: string): ReadonlyArray<string> => {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
  const spareBits = [0, 0, 4, 2][token.length % 4]!
  const last = alphabet.indexOf(token.at(-1)!)
  const spare = Array.from(
    { length: 2 ** spareBits - 1 },
    (_, index) => token.slice(0, -1) + alphabet[last + index + 1]
  )
  const padding = "=".repeat((4 - (token.length % 4)) % 4)
  const standard = token.replaceAll("-", "+").replaceAll("_", "/")
  return [...spare, `${token}${padding}`, standard, ` ${token}`, `${token}\n`, `${token}=A`].filter((one) =>
    one !== token
  )
}
