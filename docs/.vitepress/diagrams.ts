/**
 * Diagrams of Mermaid become SVG when the site is built, so a page with a diagram is as light as one without. The colors
 * are variables of the theme, for dark mode.
 */
import { renderMermaidSVG } from "beautiful-mermaid"
import type { MarkdownRenderer } from "vitepress"

export const renderDiagrams = (markdown: MarkdownRenderer): void => {
  const renderFence = markdown.renderer.rules.fence!
  markdown.renderer.rules.fence = (tokens, index, options, env, self) => {
    const { content, info } = tokens[index]!
    return info.trim() === "mermaid" ? figureOf(content, index) : renderFence(tokens, index, options, env, self)
  }
}

const figureOf = (diagram: string, index: number): string =>
  `<figure class="diagram" v-pre>${
    inOnePage(renderMermaidSVG(diagram, { transparent: true, padding: 8 }), index)
  }</figure>\n`

/**
 * Without the style, which loads a font from elsewhere (the theme has one instead), and with ids of its own. On a small
 * screen it shrinks, as long as its text can be read.
 */
const inOnePage = (svg: string, index: number): string =>
  svg
    .replace(/<style>[^]*?<\/style>/g, "")
    .replace(/ width="([\d.]+)" height="[\d.]+" style="--bg:[^"]*"/, (_, width: string) =>
      ` width="${Math.round(Number(width))}" style="min-width: ${Math.round(Number(width) * smallest)}px"`)
    .replace(/\bid="([^"]+)"/g, `id="diagram-${index}-$1"`)
    .replace(/url\(#([^)]+)\)/g, `url(#diagram-${index}-$1)`)

const smallest = 0.75
