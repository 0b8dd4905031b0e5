/**
 * What the shop's list of devices says of them.
 */
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration } from "effect"
import { deviceName } from "../../examples/shop/devices.ts"
import { html } from "../../examples/shop/html.ts"
import { ago } from "../../examples/shop/pages.ts"

const chrome = (system: string) =>
  `Mozilla/5.0 (${system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36`

const devices: ReadonlyArray<readonly [name: string, userAgent: string | undefined]> = [
  ["Chrome on Windows", chrome("Windows NT 10.0; Win64; x64")],
  ["Chrome on Android", chrome("Linux; Android 10; K")],
  ["Chrome on Chrome OS", chrome("X11; CrOS x86_64 14541.0.0")],
  ["Microsoft Edge on Windows", `${chrome("Windows NT 10.0; Win64; x64")} Edg/142.0.0.0`],
  ["Firefox on macOS", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:145.0) Gecko/20100101 Firefox/145.0"],
  [
    "Safari on iPhone",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) " +
    "Version/18.1 Mobile/15E148 Safari/604.1"
  ],
  ["Unknown browser on unknown device", undefined],
  ["Unknown browser on unknown device", ""],
  ["Unknown browser on unknown device", "x".repeat(100_000)]
]

describe("the name of a device", () => {
  it.each(devices)("is %s", (name, userAgent) => {
    assert.strictEqual(deviceName(userAgent), name)
  })

  it("is no HTML, whatever a browser says", () => {
    const name = deviceName("Mozilla/5.0 (Linux; Android 9; <script>alert(1)</script> Build/X) <b>/1.0")
    assert.notInclude(html`${name}`.source, "<")
  })
})

describe("the last use of a device", () => {
  const now = DateTime.makeUnsafe("2026-01-31T12:00:00Z")

  it.each(
    [
      ["just now", "59 seconds"],
      ["1 minute ago", "1 minute"],
      ["3 minutes ago", "239 seconds"],
      ["59 minutes ago", "59 minutes"],
      ["1 hour ago", "119 minutes"],
      ["23 hours ago", "23 hours"],
      ["yesterday", "24 hours"],
      ["30 days ago", "30 days"],
      // The clock of another server.
      ["just now", "-5 minutes"]
    ] as const
  )("was %s", (text, passed) => {
    assert.strictEqual(ago(DateTime.subtractDuration(now, Duration.fromInputUnsafe(passed)), now), text)
  })
})
