/**
 * HTML in template literals. Whatever is put into a template is escaped, so that a name such as `<script>` is shown and
 * not run; only what was made by `html` itself goes in as it is. (The templates of `effect/http` do not escape.)
 */
export class Html {
  readonly source: string
  constructor(source: string) {
    this.source = source
  }
}

export type Content = Html | string | number | undefined | ReadonlyArray<Content>

export const html = (strings: TemplateStringsArray, ...contents: ReadonlyArray<Content>): Html =>
  new Html(String.raw({ raw: strings }, ...contents.map(render)))

const render = (content: Content): string => {
  if (content === undefined) return ""
  if (content instanceof Html) return content.source
  if (typeof content === "object") return content.map(render).join("")
  return String(content).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
