/**
 * Reading base64url (RFC 4648, section 5) strictly: of all spellings that the decoder of Node.js takes for the same bytes,
 * only the one that it writes itself. Effect's `Base64Url` ignores spare bits too, and takes ten times as long.
 */

/** Writes the bytes of a text to the beginning of a buffer, and says how many; nothing, if the text is not their spelling. */
export const decodeInto = (bytes: Buffer, text: string): number | undefined => {
  // To compare the text with one that is made of the bytes would allocate it once more, and a pattern takes as long as the
  // decoder again. That one skips what is no base64, so there are fewer bytes, but it takes the other alphabet as well, and
  // characters beyond ASCII for some within.
  if (hasSpareBits(text) || text.includes("+") || text.includes("/") || !isAscii(text)) return undefined
  const size = bytes.write(text, 0, "base64url")
  return size === sizeOf(text) ? size : undefined
}

const isAscii = (text: string): boolean => Buffer.byteLength(text) === text.length

/** How many bytes a text stands for. */
export const sizeOf = (text: string): number => Math.floor(text.length * 3 / 4)

/** Whether bits of the last character belong to no byte and say something. */
const hasSpareBits = (text: string): boolean => {
  switch (text.length % 4) {
    case 0:
      return false
    case 1:
      return true
    case 2:
      return !"AQgw".includes(text.at(-1)!)
    default:
      return !"AEIMQUYcgkosw048".includes(text.at(-1)!)
  }
}
