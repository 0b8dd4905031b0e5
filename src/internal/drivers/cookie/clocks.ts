/**
 * How accurate the clocks of several servers are.
 */

/** The maximum difference, in milliseconds: entries are remembered for this much longer than one clock would need. */
export const clockSkew = 5 * 60_000
