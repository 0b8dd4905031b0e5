/**
 * The names of fields, for back ends and clients that can't do with every text: DynamoDB has no empty names, neither it nor
 * Redis knows halves of characters, PostgreSQL has no NUL, and a client that makes an object of them loses "__proto__".
 */
import { parse } from "../record/record.ts"

export const toName = (field: string): string => isName(field) ? field : `~${JSON.stringify(field)}`

export const toField = (name: string): string => name.startsWith(escaped) ? String(parse(name.slice(1)) ?? name) : name

const isName = (field: string): boolean =>
  field !== "" && field !== "__proto__" && !field.startsWith(escaped) && !field.includes("\0") && field.isWellFormed()

// No other field begins like that.
const escaped = "~\""
