/**
 * Where the PostgreSQL of the SQL driver's tests is.
 */
import { existsSync, readdirSync } from "node:fs"
import { delimiter, join } from "node:path"

/** Debian keeps the programs of a server out of PATH, in a folder for each version. */
const debian = "/usr/lib/postgresql"

/**
 * The folder with the programs `initdb` and `postgres`: what the environment variable `POSTGRESQL_BIN` names, else the
 * first one in PATH, else the newest one of Debian's.
 *
 * @returns {string | undefined}
 */
export const findPostgresql = () => {
  if (process.env.POSTGRESQL_BIN) {
    return process.env.POSTGRESQL_BIN
  }
  const versions = existsSync(debian) ? readdirSync(debian).toSorted((one, other) => Number(other) - Number(one)) : []
  return [
    ...(process.env.PATH ?? "").split(delimiter),
    ...versions.map((version) => join(debian, version, "bin"))
  ].find((folder) => existsSync(join(folder, "initdb")) && existsSync(join(folder, "postgres")))
}
