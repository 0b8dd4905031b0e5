#!/usr/bin/env node
/**
 * The command `effect-session`.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { generateSecret } from "./SessionConfig.ts"

const usage = "Usage: effect-session secret\n\nPrints a new secret for SESSION_SECRET.\n"

if (process.argv[2] === "secret" && process.argv.length === 3) {
  process.stdout.write(`${Redacted.value(Effect.runSync(generateSecret))}\n`)
} else {
  process.stderr.write(usage)
  process.exitCode = 1
}
