/**
 * Reading base64url (RFC 4648, section 5) strictly: of all spellings that the decoder of Node.js takes for the same bytes,
 * only the one that it writes itself. Effect's `Base64Url` ignores spare bits too, and takes ten times as long.
 */

/** Writes the bytes of a text to the beginning of a buffer, and says how many; nothing, if the text is not their spelling. */
export const decodeInto = (bytes: Buffer, text: string): number | undefined => {
  // To compare the text with one that is made of the bytes would allocate it once more.
  if (!alphabet.test(text) || hasSpareBits(text)) return undefined
  return bytes.write(text, 0, "base64url")
}

const alphabet = /^[A-Za-z0-9_-]*$/

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
