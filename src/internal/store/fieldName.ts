/**
 * Encodes the names of fields for back ends and clients with restrictions: DynamoDB allows no empty names, neither DynamoDB nor
 * Redis allows lone surrogates, PostgreSQL has no NUL, and a client that turns them into an object loses "__proto__".
 */
import { parse } from "../record/record.ts"

export const toName = (field: string): string => isName(field) ? field : `~${JSON.stringify(field)}`

export const toField = (name: string): string => name.startsWith(escaped) ? String(parse(name.slice(1)) ?? name) : name

const isName = (field: string): boolean =>
  field !== "" && field !== "__proto__" && !field.startsWith(escaped) && !field.includes("\0") && field.isWellFormed()

// No other field starts like this.
const escaped = "~\""
