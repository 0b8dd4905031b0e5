/** Whether `NODE_ENV` says so, or there is nothing that could say otherwise. */
export const isProduction = (): boolean => {
  try {
    return typeof process === "undefined" || process.env["NODE_ENV"] === "production"
  } catch {
    // Deno asks for a permission to read the environment.
    return true
  }
}
