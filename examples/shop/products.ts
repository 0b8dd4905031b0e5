/**
 * What the shop sells. A real one would ask a database.
 */
export interface Product {
  readonly id: string
  readonly name: string
  readonly description: string
  /** In cents, because sums of fractions are not exact. */
  readonly price: number
  /** The color of the tea in the cup. */
  readonly color: string
}

export const products: ReadonlyArray<Product> = [
  { id: "assam", name: "Assam", description: "Dark and malty, made for milk.", price: 850, color: "#7a2d14" },
  { id: "earl-grey", name: "Earl Grey", description: "Black tea with bergamot.", price: 920, color: "#9a4a1c" },
  {
    id: "darjeeling",
    name: "Darjeeling",
    description: "First flush, light and floral.",
    price: 1450,
    color: "#cf8f3c"
  },
  { id: "sencha", name: "Sencha", description: "Green tea, grassy and fresh.", price: 1190, color: "#b5b24a" },
  { id: "rooibos", name: "Rooibos", description: "Red, round, and no caffeine.", price: 640, color: "#b0431f" },
  { id: "peppermint", name: "Peppermint", description: "Whole leaves and nothing else.", price: 560, color: "#93a75c" }
]
