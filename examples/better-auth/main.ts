/**
 * Logins by better-auth, and what a visitor does in our sessions. In this folder, after `npm install`:
 *
 *     node main.ts
 *
 *     curl -c jar -b jar -X POST -H 'sec-fetch-site: same-origin' localhost:3000/basket/tea
 *     curl -c jar -b jar -H 'content-type: application/json' -H 'origin: http://localhost:3000' localhost:3000/api/auth/sign-up/email \
 *       -d '{ "name": "Ada", "email": "ada@example.com", "password": "correct horse" }'
 *     curl -c jar -b jar localhost:3000
 *
 * Read it in this order:
 *
 * 1. keys.ts       what is in a session
 * 2. agreement.ts  how our sessions go with better-auth's
 * 3. routes.ts     which request does what
 * 4. auth.ts       better-auth as a service
 * 5. main.ts       this file: puts it all together and starts the server
 */
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Config, Effect, Layer } from "effect"
import { MemoryLayer, SessionConfig } from "effect-session"
import { HttpRouter } from "effect/http"
import { createServer } from "node:http"
import { DatabaseSync } from "node:sqlite"
import * as Auth from "./auth.ts"
import { Routes } from "./routes.ts"

const port = Config.schema(Config.Port, "PORT").pipe(Config.withDefault(3000))
