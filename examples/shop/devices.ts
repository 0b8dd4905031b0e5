/**
 * What a list of devices calls them.
 */
import { parse } from "bowser"

/** Such as "Safari on iPhone". Browsers say what they like, so it is for reading only, and goes no further. */
export const deviceName = (userAgent = ""): string => {
  // It takes no empty text, and need not read a long one.
  const { browser, os, platform } = parse(userAgent.slice(0, 500) || "unknown")
  return `${browser.name || "Unknown browser"} on ${platform.model ?? os.name ?? "unknown device"}`
}
