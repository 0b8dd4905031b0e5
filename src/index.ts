/**
 * Sessions for Effect HTTP servers.
 *
 * @since 0.1.0
 */
export * as CookieLayer from "./CookieLayer.ts"
export * as Csrf from "./Csrf.ts"
export * as DynamoLayer from "./DynamoLayer.ts"
export * as FileLayer from "./FileLayer.ts"
export * as KeyValueLayer from "./KeyValueLayer.ts"
export * as MemoryLayer from "./MemoryLayer.ts"
export * as RedisLayer from "./RedisLayer.ts"
export * as Session from "./Session.ts"
export * as SessionConfig from "./SessionConfig.ts"
export * as SessionDriver from "./SessionDriver.ts"
export * as SessionError from "./SessionError.ts"
export * as SessionEvent from "./SessionEvent.ts"
export * as SessionGuard from "./SessionGuard.ts"
export * as SessionKey from "./SessionKey.ts"
export * as SessionMiddleware from "./SessionMiddleware.ts"
export * as SessionOwners from "./SessionOwners.ts"
export * as SessionRpc from "./SessionRpc.ts"
export * as Sessions from "./Sessions.ts"
export * as SessionSocket from "./SessionSocket.ts"
export * as SessionStore from "./SessionStore.ts"
export * as SessionStream from "./SessionStream.ts"
export * as SqlLayer from "./SqlLayer.ts"
