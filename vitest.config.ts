import { defineConfig } from "vitest/config"

export default defineConfig({
  // "effect-session" leads to src, see "exports" in package.json.
  ssr: { resolve: { conditions: ["effect-session/source", "node"] } },
  test: {
    reporters: ["default"],
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/package/**"],
          // Some tests start a server or a browser, on machines that are busy with other things.
          testTimeout: 120_000,
          hookTimeout: 120_000
        }
      },
      {
        extends: true,
        test: {
          name: "package",
          include: ["test/package/*.test.ts"],
          // It builds, packs and installs.
          globalSetup: "test/package/setup.ts",
          testTimeout: 120_000,
          hookTimeout: 300_000
        }
      }
    ]
  }
})
