/**
 * HTML in template literals. Values in a template are escaped, so a name such as `<script>` is shown and not run. Only
 * the results of `html` itself are inserted as they are. (The templates of `effect/http` do not escape.)
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
