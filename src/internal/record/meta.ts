/**
 * The library's own fields in a session: its owner, its lifetime, when the owner logged in. Because they are fields, they follow the
 * session through regenerations, conflicts and every driver.
 */

/** The owner, see owner.ts. */
export const owner = "~owner"

/** The session's own lifetime, if it differs from the configuration. */
export const lifetime = "~lifetime"

/** When the owner was authenticated, and how. */
export const authenticated = "~authenticated"

/** Who logged out last, and which of their values are still here, see left.ts. */
export const left = "~left"

/** These stay when the session is cleared, because that concerns the application's values. */
export const all: ReadonlyArray<string> = [owner, lifetime, authenticated]
