import TwoslashFloatingVue from "@shikijs/vitepress-twoslash/client"
import "@shikijs/vitepress-twoslash/style.css"
import type { Theme } from "vitepress"
// The fonts are those of the reader's machine.
import DefaultTheme from "vitepress/theme-without-fonts"
import "./style.css"

export default {
  extends: DefaultTheme,
  enhanceApp: ({ app }) => {
    // At the bottom of the window, a type shows above its name. Below, there would be no room for it.
    app.use(TwoslashFloatingVue, { themes: { twoslash: { flip: true } } })
  }
} satisfies Theme
