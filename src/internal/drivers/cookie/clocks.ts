/**
 * How exact the clocks of several servers are.
 */

/** They may differ by so much, in milliseconds: for so long, more is remembered than would be needed with one clock. */
export const clockSkew = 5 * 60_000
