/**
 * How much fits into a cookie: name and value together take at most 4,096 bytes (RFC 6265bis).
 */

/** The most bytes that the name and the value of one cookie may take together. */
export const ofCookie = 4096

/** The names of the cookies that a token may be split into. */
export const chunkName = (name: string, index: number): string => index === 0 ? name : `${name}.${index}`

/** The bytes that a token may take in the cookies of this name. */
export const ofToken = ({ chunks, name }: { readonly name: string; readonly chunks: number }): number => {
  let bytes = 0
  for (let index = 0; index < chunks; index++) bytes += ofCookie - chunkName(name, index).length
  return bytes
}
