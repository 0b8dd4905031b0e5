/**
 * Where the browser of the browser tests is.
 */
import { existsSync } from "node:fs"
import { delimiter, join } from "node:path"

const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]

const applications = [
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
]

/**
 * The file to start: what the environment variable `CHROMIUM_PATH` names, else the first that is installed.
 *
 * @returns {string | undefined}
 */
export const findChromium = () => {
  if (process.env.CHROMIUM_PATH) {
    return process.env.CHROMIUM_PATH
  }
  const folders = (process.env.PATH ?? "").split(delimiter)
  return [...names.flatMap((name) => folders.map((folder) => join(folder, name))), ...applications].find(existsSync)
}
