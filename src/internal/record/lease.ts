/**
 * Who may renew a value, and until when: a field next to that of the value.
 */
import { parse } from "./record.ts"

export interface Lease {
  /** Random, so that nobody mistakes another lease for their own. */
  readonly owner: string
  /** Milliseconds since the epoch. */
  readonly until: number
}

export const fieldOf = (field: string): string => `~lease:${field}`

export const encode = (lease: Lease): string => JSON.stringify(lease)

/** `undefined` if it is damaged. */
export const decode = (text: string | undefined): Lease | undefined => {
  const value = text === undefined ? undefined : parse(text)
  const { owner, until } = (value ?? {}) as Partial<Lease>
  return typeof owner === "string" && typeof until === "number" ? { owner, until } : undefined
}
