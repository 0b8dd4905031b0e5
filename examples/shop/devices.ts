/**
 * The names of devices in a list.
 */
import { parse } from "bowser"

/** Such as "Safari on iPhone". Browsers can send anything, so it is for display only. */
export const deviceName = (userAgent = ""): string => {
  // The parser rejects an empty text, and need not read a long one.
  const { browser, os, platform } = parse(userAgent.slice(0, 500) || "unknown")
  return `${browser.name || "Unknown browser"} on ${platform.model ?? os.name ?? "unknown device"}`
}
