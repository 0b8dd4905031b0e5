/**
 * Removes values from the errors of back ends. Besides a message, they have whole rows, statements with parameters, and commands, and
 * databases quote values in the message. All of these may contain what users have in their sessions, and errors end up in logs.
 */

const withValues = [
  // PostgreSQL: "Failing row contains (…)".
  "detail",
  "hint",
  "where",
  "internalQuery",
  // clients of SQL databases
  "query",
  "sql",
  "sqlMessage",
  "text",
  "parameters",
  "params",
  "args",
  "bindings",
  "values",
  // ioredis
  "command",
  // the AWS SDK
  "Item",
  "$response"
]

const valuesInMessages = [
  // MySQL: "Incorrect integer value: '…' for column …".
  /(?<=\bvalue: )'.*'(?= for column|$)/s,
  // PostgreSQL: "invalid input syntax for type integer: "…"", and "value "…" is out of range for type integer".
  /(?<=\binvalid input \w+ for (?:type|enum) [\w ]+: )".*"/s,
  /(?<=\bvalue )".*"(?= is out of range)/s
]

// Including those of a Cause.
const within = ["cause", "reason", "errors", "driverError", "lastNodeError", "reasons", "error", "defect"]

/** Removes them from an error and its causes. */
export const withoutValues = <E>(error: E): E => {
  try {
    strip(error, 0)
  } catch {
    // It can't be inspected, neither here nor by loggers.
  }
  return error
}

const strip = (error: unknown, depth: number): void => {
  if (typeof error !== "object" || error === null || depth > 8) return
  if (Array.isArray(error)) return error.forEach((each) => strip(each, depth + 1))
  for (const name of withValues) Reflect.deleteProperty(error, name)
  if (error instanceof Error) stripMessage(error)
  for (const name of within) strip(Reflect.get(error, name), depth + 1)
}

const stripMessage = (error: Error): void => {
  const { message, stack } = error
  const stripped = valuesInMessages.reduce((text, value) => text.replace(value, "…"), message)
  if (stripped === message) return
  error.message = stripped
  if (stack !== undefined) error.stack = stack.replace(message, () => stripped)
}
