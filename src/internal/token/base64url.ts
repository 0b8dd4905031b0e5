/**
 * Reads base64url (RFC 4648, section 5) strictly: of all spellings that Node.js decodes to the same bytes, only the one that it
 * encodes to. Effect's `Base64Url` also ignores spare bits, and takes ten times as long.
 */

/** Writes the bytes to the beginning of a buffer and returns their number, `undefined` if the text is not their spelling. */
export const decodeInto = (bytes: Buffer, text: string): number | undefined => {
  // Encoding the bytes again to compare would allocate the text once more, and a pattern takes as long as the decoder. The
  // decoder skips invalid characters, which yields fewer bytes, but it also accepts the other alphabet and maps some
  // characters beyond ASCII into it.
  if (hasSpareBits(text) || text.includes("+") || text.includes("/") || !isAscii(text)) return undefined
  const size = bytes.write(text, 0, "base64url")
  return size === sizeOf(text) ? size : undefined
}

const isAscii = (text: string): boolean => Buffer.byteLength(text) === text.length

/** The number of bytes that a text encodes. */
export const sizeOf = (text: string): number => Math.floor(text.length * 3 / 4)

/** Whether unused bits of the last character are set. */
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
