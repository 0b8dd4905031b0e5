/**
 * Makes a clone ready for the commands in package.json, and does nothing where it is ready already:
 *
 *     node scripts/setup.mjs dependencies            the packages that package-lock.json names
 *     node scripts/setup.mjs dependencies browser    and a Chromium for the browser tests
 *     node scripts/setup.mjs redis                   a redis-server for the tests of the Redis driver
 *     node scripts/setup.mjs postgres                a PostgreSQL for the tests of the SQL driver
 *     node scripts/setup.mjs mariadb                 a MariaDB for the same tests
 *     node scripts/setup.mjs nginx                   an nginx for the tests of caches in front of a server
 *     node scripts/setup.mjs bench                   the packages of the benchmark, which has a lock file of its own
 *     node scripts/setup.mjs docs                    those of the documentation's site, likewise
 *
 * This runs before anything is installed, so it is plain JavaScript for the Node.js that npm came with (20 or later).
 * Among the packages is the Node.js that the project itself runs on: from then on, npm's scripts find that one first.
 */
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { findChromium } from "./chromium.mjs"
import { findPostgresql } from "./postgresql.mjs"

const root = fileURLToPath(new URL("..", import.meta.url))

const dependencies = () => install(root, "the dependencies")

const bench = () => install(`${root}/bench`, "what the benchmark compares")

const docs = () => install(`${root}/docs`, "what the documentation's site is built with")

/**
 * @param {string} folder
 * @param {string} what
 */
const install = (folder, what) => {
  if (dependenciesAreInstalled(folder)) {
    return
  }
  console.log(`Installing ${what} …`)
  // Not "npm ci": it insists on optional packages for every other operating system. This takes the same versions from
  // the lock file, and leaves the file as it is.
  run("npm", ["install", "--no-save", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error"], folder)
}

/**
 * npm keeps what it installed in a lock file of its own inside node_modules, which it writes when it is done. A package
 * may be missing there only if it is optional, as those for other operating systems are.
 *
 * @param {string} folder
 */
const dependenciesAreInstalled = (folder) => {
  if (!existsSync(`${folder}/node_modules/.package-lock.json`)) {
    return false
  }
  const { "": _project, ...wanted } = packagesOf(`${folder}/package-lock.json`)
  const installed = packagesOf(`${folder}/node_modules/.package-lock.json`)
  return Object.entries(wanted).every(([path, { integrity, optional }]) =>
    path in installed ? installed[path]?.integrity === integrity : optional
  )
}

/**
 * @param {string} lockFile
 * @returns {Record<string, { integrity?: string, optional?: boolean }>}
 */
const packagesOf = (lockFile) => JSON.parse(readFileSync(lockFile, "utf8")).packages

const browser = () => {
  if (findChromium() !== undefined) {
    return
  }
  if (!canInstallDebianPackages()) {
    stop("The browser tests need Chromium or Chrome: install one, or name its file in CHROMIUM_PATH.")
  }
  installDebianPackage("chromium")
}

const redis = () => {
  if (isCommand("redis-server")) {
    return
  }
  if (!canInstallDebianPackages()) {
    stop("The tests of the Redis driver need redis-server and redis-cli: install Redis, version 7 or later.")
  }
  installDebianPackage("redis-server")
}

const postgres = () => {
  if (findPostgresql() !== undefined) {
    return
  }
  if (!canInstallDebianPackages()) {
    stop(
      "The tests of the SQL driver need initdb and postgres: install PostgreSQL, or name its folder in POSTGRESQL_BIN."
    )
  }
  installDebianPackage("postgresql")
}

const mariadb = () => {
  if (isCommand("mariadbd")) {
    return
  }
  if (!canInstallDebianPackages()) {
    stop("The tests of the SQL driver need mariadbd and mariadb-install-db: install MariaDB.")
  }
  installDebianPackage("mariadb-server-core")
}

const nginx = () => {
  if (isCommand("nginx", "-v")) {
    return
  }
  if (!canInstallDebianPackages()) {
    stop("The tests of caches in front of a server need nginx: install it.")
  }
  installDebianPackage("nginx")
}

/**
 * @param {string} name
 * @param {string} [option]
 */
const isCommand = (name, option = "--version") => spawnSync(name, [option], { stdio: "ignore" }).status === 0

/** @param {string} name */
const installDebianPackage = (name) => {
  console.log(`Installing ${name} …`)
  run("apt-get", ["update", "-qq"])
  run("apt-get", ["install", "-qq", "--yes", "--no-install-recommends", name])
}

const canInstallDebianPackages = () =>
  process.getuid?.() === 0 &&
  existsSync("/etc/os-release") &&
  /^ID=debian$/m.test(readFileSync("/etc/os-release", "utf8"))

/**
 * @param {string} command
 * @param {Array<string>} commandArguments
 * @param {string} [folder]
 */
const run = (command, commandArguments, folder = root) => {
  const { error, status } = spawnSync(command, commandArguments, {
    cwd: folder,
    // What went wrong is on stderr.
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    // On Windows npm is a batch file, which only a shell starts.
    shell: process.platform === "win32"
  })
  if (status !== 0) {
    stop(`${[command, ...commandArguments].join(" ")}: ${error?.message ?? `ended with ${status}`}`)
  }
}

/**
 * @param {string} message
 * @returns {never}
 */
const stop = (message) => {
  console.error(message)
  process.exit(1)
}

/** @type {Record<string, () => void>} */
const steps = { dependencies, browser, redis, postgres, mariadb, nginx, bench, docs }

for (const name of process.argv.slice(2)) {
  const step = steps[name] ?? stop(`No such step: ${name}. There are: ${Object.keys(steps).join(", ")}.`)
  step()
}
