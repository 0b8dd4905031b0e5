/**
 * Certificates for servers with TLS, made on the spot.
 */
import { Effect, type Scope } from "effect"
import { execFileSync } from "node:child_process"
import { createHash, X509Certificate } from "node:crypto"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { temporaryFolder } from "./redisServer.ts"

export interface Certificate {
  readonly cert: string
  readonly key: string
}

/** A self-signed certificate for these host names, which is valid for two days, and its key. */
export const makeCertificate = (
  names: readonly [string, ...ReadonlyArray<string>]
): Effect.Effect<Certificate, never, Scope.Scope> =>
  Effect.map(temporaryFolder, (folder) => {
    const [key, cert] = [join(folder, "key.pem"), join(folder, "certificate.pem")]
    const options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    const about = ["-subj", `/CN=${names[0]}`, "-addext", `subjectAltName=${names.map((name) => `DNS:${name}`).join()}`]
    execFileSync("openssl", [...options.split(" "), ...about, "-keyout", key, "-out", cert], { stdio: "ignore" })
    return { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") }
  })

/** The hash by which Chromium knows the key of a certificate. */
export const keyHashOf = ({ cert }: Certificate): string =>
  createHash("sha256")
    .update(new X509Certificate(cert).publicKey.export({ type: "spki", format: "der" }))
    .digest("base64")
