/**
 * Which part of src may import which. Arrows point downwards, and there is no circle: what stands in the list may import,
 * at run time, only what is named beside it. `npm run lint` holds it.
 *
 * Types may also come from the public module that documents them.
 *
 * @type {ReadonlyArray<readonly [part: string, imports: ReadonlyArray<string>]>}
 */
const parts = [
  ["SessionError", []],
  ["SessionEvent", []],
  ["internal/record", ["SessionError"]],
  ["internal/token", []],
  ["internal/concurrency", []],
  ["internal/config", ["SessionError"]],
  ["SessionConfig", ["internal/config", "internal/token", "SessionError"]],

  // The contract, and what drivers have in common.
  [
    "internal/store",
    [
      "internal/record",
      "internal/token",
      "internal/concurrency",
      "internal/config",
      "SessionConfig",
      "SessionOwners",
      "SessionError"
    ]
  ],
  ["SessionOwners", []],
  ["SessionStore", ["internal/store", "internal/record", "internal/token", "SessionOwners", "SessionError"]],

  // Drivers do not know each other: each has its folder and its public module, and goes when these go.
  ...[
    ["CookieLayer", "internal/drivers/cookie"],
    ["DynamoLayer", "internal/drivers/dynamodb"],
    ["FileLayer", "internal/drivers/file"],
    ["KeyValueLayer", "internal/drivers/keyValue"],
    ["MemoryLayer", "internal/drivers/memory"],
    ["RedisLayer", "internal/drivers/redis"],
    ["SqlLayer", "internal/drivers/sql"]
  ].flatMap(([layer, folder]) => [
    [
      folder,
      [
        "internal/record",
        "internal/token",
        "internal/concurrency",
        "internal/config",
        "internal/store",
        "SessionError"
      ]
    ],
    [
      layer,
      [
        folder,
        "internal/concurrency",
        "internal/config",
        "internal/store",
        "SessionConfig",
        "SessionOwners",
        "SessionStore",
        "SessionError"
      ]
    ]
  ]),
  ["SessionDriver", ["\\w+Layer", "internal/config", "SessionConfig", "SessionError"]],
  ["internal/suites", []],
  [
    "SessionStoreTest",
    ["internal/suites", "internal/record", "internal/token", "SessionStore", "SessionConfig", "SessionError"]
  ],

  // The session of a request knows neither HTTP nor any driver.
  ["internal/request", ["internal/record", "internal/token", "internal/concurrency", "SessionError"]],
  ["Session", [
    "internal/request",
    "internal/record",
    "internal/token",
    "internal/config",
    "SessionConfig",
    "SessionOwners",
    "SessionError"
  ]],
  ["SessionKey", ["internal/record", "internal/config", "Session"]],
  ["internal/http", ["internal/request", "internal/record", "internal/token", "SessionError"]],
  [
    "Sessions",
    [
      "internal/http",
      "internal/request",
      "internal/record",
      "Session",
      "SessionConfig",
      "SessionOwners",
      "SessionStore",
      "SessionError"
    ]
  ],
  [
    "SessionMiddleware",
    ["internal/http", "internal/request", "internal/config", "Session", "SessionConfig", "SessionStore", "SessionError"]
  ],
  ["internal/csrf", ["internal/http", "internal/token"]],
  [
    "Csrf",
    [
      "internal/csrf",
      "internal/http",
      "internal/request",
      "internal/config",
      "Session",
      "SessionConfig",
      "SessionError"
    ]
  ],
  ["SessionSocket", [
    "Csrf",
    "internal/http",
    "internal/request",
    "internal/config",
    "Session",
    "SessionConfig",
    "SessionError"
  ]],
  ["SessionStream", ["internal/http", "internal/request", "Session", "SessionError"]],
  ["SessionGuard", ["internal/http", "SessionMiddleware", "SessionError"]],
  ["internal/rpc", ["internal/http", "internal/request", "SessionError"]],
  [
    "SessionRpc",
    [
      "internal/rpc",
      "internal/http",
      "internal/request",
      "Csrf",
      "Session",
      "SessionMiddleware"
    ]
  ],
  [
    "SessionOwnersTest",
    [
      "internal/suites",
      "Session",
      "SessionConfig",
      "SessionError",
      "SessionKey",
      "SessionOwners",
      "Sessions",
      "SessionStore"
    ]
  ],
  [
    "internal/testing",
    ["internal/http", "internal/store", "internal/token", "SessionConfig", "SessionOwners", "SessionError"]
  ],
  ["SessionTest", ["internal/testing", "Session", "SessionConfig", "SessionError", "Sessions", "SessionStore"]],
  ["bin", ["SessionConfig"]],
  ["index", ["\\w+"]]
]

/** @param {string} part */
const pathOf = (part) => part.startsWith("internal/") ? `^src/${part}/` : `^src/${part}\\.ts$`

const publicModule = "^src/\\w+\\.ts$"

/**
 * Packages that only some parts may import.
 *
 * @type {ReadonlyArray<readonly [package: string, parts: ReadonlyArray<string>]>}
 */
const packages = [
  ["effect/(dist/)?http", [
    "SessionError",
    "internal/http",
    "internal/rpc",
    "internal/testing",
    "SessionMiddleware",
    "SessionGuard",
    "SessionRpc",
    "SessionSocket",
    "SessionStream",
    "SessionTest",
    "Csrf"
  ]],
  ["effect/(dist/)?rpc", ["SessionRpc", "SessionGuard"]],
  ["ioredis", ["internal/drivers/redis"]],
  ["@aws-sdk", ["internal/drivers/dynamodb"]]
]

/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [
    {
      name: "no-circle",
      comment: "No circle of imports at run time, not even through import().",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } }
    },
    {
      name: "everything-has-a-place",
      comment: "A new part of src needs a line in .dependency-cruiser.mjs.",
      from: { path: "^src/", pathNot: parts.map(([part]) => pathOf(part)) },
      to: {}
    },
    ...parts.flatMap(([part, imports]) => {
      const below = [part, ...imports].map(pathOf)
      return [
        {
          name: `${part} imports only what is below it`,
          from: { path: pathOf(part) },
          to: { path: "^src/", pathNot: below, dependencyTypesNot: ["type-only"] }
        },
        {
          name: `${part} takes types from below or from public modules`,
          from: { path: pathOf(part) },
          to: { path: "^src/", pathNot: [...below, publicModule] }
        }
      ]
    }),
    ...packages.map(([name, parts]) => ({
      name: `${name} is imported only where it is used`,
      from: { path: "^src/", pathNot: parts.map(pathOf) },
      to: { path: `^(node_modules/)?${name}` }
    }))
  ].map((rule) => ({ ...rule, severity: "error" })),
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" }
  }
}
