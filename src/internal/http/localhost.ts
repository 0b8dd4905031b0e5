/** Whether browsers trust the host without TLS (W3C Secure Contexts). */
export const isLocal = (host: string): boolean => /^(?:(?:.+\.)?localhost|127(?:\.\d+){3}|\[::1\])$/.test(host)
