/**
 * The order of the pages: Start, Guide, In production, How it works, Beside other libraries, Coming from, Comparison, Reference. A
 * page that is missing here fails the build.
 */
import type { DefaultTheme } from "vitepress"
import { moduleNames } from "./reference/modules.ts"

const page = (text: string, link: string): DefaultTheme.SidebarItem => ({ text, link })

const section = (
  text: string,
  items: Array<DefaultTheme.SidebarItem>,
  collapsed = false
): DefaultTheme.SidebarItem => ({
  text,
  items,
  collapsed
})

export const sidebar: Array<DefaultTheme.SidebarItem> = [
  section("Start", [
    page("Quick start: pages", "/start/pages"),
    page("Quick start: HttpApi", "/start/api"),
    page("Quick start: RPC", "/start/rpc"),
    page("The example shop", "/start/shop")
  ]),
  section("Guide", [
    page("Keys and schemas", "/guide/keys"),
    page("Reading and changing", "/guide/reading-and-changing"),
    page("Choosing a driver", "/guide/drivers"),
    page("Flash messages", "/guide/flash"),
    page("Login and logout", "/guide/login"),
    page("Keep me logged in", "/guide/remember-me"),
    page("Guards", "/guide/guards"),
    page("Owners and devices", "/guide/devices"),
    page("Expiring values and one-time codes", "/guide/expiring-values"),
    page("CSRF protection", "/guide/csrf"),
    page("Bearer tokens", "/guide/transports"),
    page("Servers and middleware", "/guide/servers"),
    page("RPC", "/guide/rpc"),
    page("WebSockets and server-sent events", "/guide/sockets"),
    page("Outside a request", "/guide/outside-a-request"),
    page("Events", "/guide/events"),
    page("Testing", "/guide/testing"),
    page("Errors", "/guide/errors"),
    page("When something is wrong", "/guide/troubleshooting")
  ]),
  section("In production", [
    page("Checklist", "/production/checklist"),
    page("Secrets", "/production/secrets"),
    page("Cookies behind proxies", "/production/proxies"),
    page("Caching", "/production/caching"),
    page("Timeouts", "/production/timeouts"),
    page("Outages", "/production/outages"),
    page("Smallest rights", "/production/rights"),
    page("Redis", "/production/redis"),
    page("SQL databases", "/production/sql"),
    page("DynamoDB", "/production/dynamodb"),
    page("Serverless and edge", "/production/serverless"),
    page("Runtimes", "/production/runtimes"),
    page("Observability", "/production/observability")
  ]),
  section("How it works", [
    page("The life of a request", "/how-it-works/request"),
    page("Races", "/how-it-works/races"),
    page("Requests that overlap", "/how-it-works/overlaps"),
    page("Security", "/how-it-works/security"),
    page("The cookie, byte by byte", "/how-it-works/cookie"),
    page("Writing a driver", "/how-it-works/driver"),
    page("Architecture", "/how-it-works/architecture")
  ]),
  section("Beside other libraries", [
    page("better-auth", "/beside/better-auth"),
    page("Access tokens", "/beside/access-tokens")
  ]),
  section("Coming from", [
    page("Another session library", "/coming-from/"),
    page("Moving without logging anyone out", "/coming-from/moving"),
    page("express-session", "/coming-from/express-session"),
    page("@fastify/session", "/coming-from/fastify-session"),
    page("iron-session", "/coming-from/iron-session"),
    page("AdonisJS", "/coming-from/adonisjs"),
    page("Remix and React Router", "/coming-from/react-router"),
    page("better-auth", "/coming-from/better-auth"),
    page("Rails", "/coming-from/rails"),
    page("Laravel", "/coming-from/laravel"),
    page("Django", "/coming-from/django"),
    page("Spring Session", "/coming-from/spring-session"),
    page("tower-sessions", "/coming-from/tower-sessions"),
    page("Jam", "/coming-from/jam"),
    page("Ravyn and Starlette", "/coming-from/ravyn")
  ], true),
  section("Comparison", [
    page("Other libraries", "/comparison/"),
    page("Measurements", "/comparison/measurements")
  ]),
  section("Reference", [
    page("Settings", "/reference/settings"),
    page("Modules", "/reference/modules/"),
    ...moduleNames.map((name) => page(name, `/reference/modules/${name}`))
  ])
]
