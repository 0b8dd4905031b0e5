/**
 * The hidden fields of the forms of a page.
 */
export const hiddenFields = (html: string): { readonly [name: string]: string } =>
  Object.fromEntries(
    Array.from(html.matchAll(/<input\b(?:"[^"]*"|'[^']*'|[^>"'])*>/gi), ([tag]) => attributesOf(tag))
      .filter(({ name, type }) => type?.toLowerCase() === "hidden" && name !== undefined)
      .map(({ name, value }) => [name!, value ?? ""])
  )

const attributesOf = (tag: string): { readonly [name: string]: string | undefined } =>
  Object.fromEntries(
    Array.from(
      tag.slice("<input".length).matchAll(/([^\s"'<>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'=<>`]+)))?/g),
      ([, name, double, single, bare]) => [name!.toLowerCase(), decode(double ?? single ?? bare ?? "")]
    )
  )

/** The references that escaping makes. */
const decode = (text: string): string =>
  text.replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|(amp|lt|gt|quot|apos));/gi, (all, decimal, hexadecimal, name) => {
    const point = name ? characters[String(name).toLowerCase()] : parseInt(decimal ?? hexadecimal, decimal ? 10 : 16)
    return point === undefined || point > 0x10ffff ? all : String.fromCodePoint(point)
  })

const characters: { readonly [name: string]: number | undefined } = { amp: 38, lt: 60, gt: 62, quot: 34, apos: 39 }
