/** The anchor of a heading as GitHub makes it, so that a link leads to the same place there and on the site. */
export const slugOf = (heading: string): string =>
  heading.trim().toLowerCase().replace(/[^\p{L}\p{N}\p{M}_\- ]/gu, "").replaceAll(" ", "-")
