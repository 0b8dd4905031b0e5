/**
 * In bundles for workerd it takes the place of `@effect/platform-node`, which does not start there: it asks for Node.js's own
 * server, which nobody uses there.
 */
export const NodeHttpServer = undefined
