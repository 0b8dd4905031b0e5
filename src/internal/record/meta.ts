/**
 * The fields that a session has beside the application's own: whose it is, how long it lives, when its owner has logged in.
 * Being fields, they go where the session goes: through regenerations, conflicts and every driver.
 */

/** Whose it is, see owner.ts. */
export const owner = "~owner"

/** How long this session lives, where it is not as long as the configuration says. */
export const lifetime = "~lifetime"

/** When its owner was authenticated, and how. */
export const authenticated = "~authenticated"

/** Who has logged out of it last, and what of that owner's is still there, see left.ts. */
export const left = "~left"

/** They stay when the session is cleared: that is about what the application has put. */
export const all: ReadonlyArray<string> = [owner, lifetime, authenticated]
