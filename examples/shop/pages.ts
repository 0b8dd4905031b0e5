/**
 * What the pages look like: functions from plain values to HTML.
 *
 * They get a view of the session, which they read without Effects: `session.get(Visits)`.
 */
import { DateTime, Option } from "effect"
import type { Session } from "effect-session"
import type { Devices } from "./account.ts"
import { contentsOf } from "./cart.ts"
import { type Content, type Html, html } from "./html.ts"
import { Cart, Customer, Visits } from "./keys.ts"
import { type Product, products } from "./products.ts"

// -----------------------------------------------------------------------------
// parts
// -----------------------------------------------------------------------------

const euros = new Intl.NumberFormat("en", { style: "currency", currency: "EUR" })

export const money = (cents: number): string => euros.format(cents / 100)

/** What the previous request has left for this one, such as "message" or "errors.name". */
const flashed = (session: Session.SessionView, path: string): string => String(session.flashMessages.get(path, ""))

/** What a page knows about its visitor. */
export interface Visit {
  readonly session: Session.SessionView
  /** Whether the browser has sent a session that has ended. */
  readonly hasEnded: boolean
  /** The hidden field in every form, by which the server recognizes its own forms. */
  readonly csrf: Html
}

export const sessionHasEnded =
  "Your session is over: it was not used for a while, or you have logged it out from another device."

/** The frame of every page. */
const layout = ({ csrf, hasEnded, session }: Visit, title: string, content: Html): Html => {
  const message = flashed(session, "message") || (hasEnded ? sessionHasEnded : "")
  return html`<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>${title} · Leaf &amp; Cup</title>
  <link rel="stylesheet" href="/style.css">
  ${isEmpty(session) ? undefined : html`<script src="/badge.js" defer></script>`}
  <link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'%3E%3Ccircle cx='4' cy='4' r='3.5' fill='%232f6b4f'/%3E%3C/svg%3E">
</head>
<body>
  <header class="top">
    <a class="brand" href="/">Leaf &amp; Cup</a>
    <nav aria-label="Main">
      <a href="/cart">Cart <span class="count">${contentsOf(session.get(Cart)).count}</span></a>
      <a href="/session">Session</a>
      ${Option.match(session.get(Customer), { onNone: () => html`<a href="/login">Log in</a>`, onSome: account(csrf) })}
    </nav>
  </header>
  <main>
    ${message && html`<p class="message" role="status">${message}</p>`}
    ${content}
  </main>
  <template class="ended"><p class="message" role="status">Your session is over. <a href="/">Go on without it</a></p></template>
</body>
</html>
`
}

/** With an empty session, other tabs have nothing to report. */
const isEmpty = (session: Session.SessionView): boolean => Object.keys(session.all()).length === 0

const account = (csrf: Html) => ({ name }: { readonly name: string }): Html =>
  html`<a href="/security">Security</a>
      <span class="customer">${name}</span>
      <form method="post" action="/logout">${csrf}<button class="link">Log out</button></form>`

/** The hidden field with the product of a form. */
const which = ({ id }: Product): Html => html`<input type="hidden" name="product" value="${id}">`

const cup = ({ color }: Product): Html => html`<span class="cup" style="--tea: ${color}"></span>`

// -----------------------------------------------------------------------------
// home
// -----------------------------------------------------------------------------

export const home = (visit: Visit): Html =>
  layout(
    visit,
    "Tea",
    html`<h1>Tea by the hundred grams</h1>
    <p class="lead">You have opened this page ${times(visit.session.get(Visits))}.</p>
    <ul class="products">${products.map(productCard(visit))}</ul>`
  )

const times = (count: number): string => count === 1 ? "once" : count === 2 ? "twice" : `${count} times`

const productCard = ({ csrf }: Visit) => (product: Product): Html =>
  html`
      <li>
        ${cup(product)}
        <h2>${product.name}</h2>
        <p class="quiet">${product.description}</p>
        <form method="post" action="/cart/add">
          ${csrf}
          ${which(product)}
          <span class="price">${money(product.price)}</span>
          <button>Add to cart <span class="unseen">${product.name}</span></button>
        </form>
      </li>`

// -----------------------------------------------------------------------------
// login
// -----------------------------------------------------------------------------

export const login = (visit: Visit, to: string): Html =>
  layout(
    visit,
    "Log in",
    // "novalidate" turns off the browser's checks, to show those of the server.
    html`<form class="panel narrow" method="post" action="/login" novalidate>
      ${visit.csrf}
      <h1>Log in</h1>
      <p class="quiet">Any name will do, with any password of at least 8 characters.</p>
      ${onTheWay(to, visit.session)}
      ${field({ name: "name", label: "Name", autocomplete: "username" }, visit.session)}
      ${passwordField(visit.session)}
      <label class="choice"><input type="checkbox" name="keep" value="yes" ${
      flashed(visit.session, "keep") && html`checked`
    }> Keep me logged in</label>
      <button>Log in</button>
    </form>`
  )

/** For a logged-in customer. The name is for password managers. */
export const password = (visit: Visit, to: string): Html => {
  const name = Option.match(visit.session.get(Customer), { onNone: () => "", onSome: ({ name }) => name })
  return layout(
    visit,
    "Enter your password again",
    html`<form class="panel narrow" method="post" action="/password" novalidate>
      ${visit.csrf}
      <h1>Enter your password again</h1>
      <p class="quiet">${name}, it has been a while since you did. Only you may see your devices, and log them out.</p>
      ${onTheWay(to, visit.session)}
      <input type="hidden" name="name" value="${name}" autocomplete="username">
      ${passwordField(visit.session)}
      <button>Continue</button>
    </form>`
  )
}

/** The hidden field with the page that the customer was going to, from the address or the previous form. */
const onTheWay = (to: string, session: Session.SessionView): Html =>
  html`<input type="hidden" name="to" value="${to || flashed(session, "to")}">`

const passwordField = (session: Session.SessionView): Html =>
  field({ name: "password", label: "Password", type: "password", autocomplete: "current-password" }, session)

interface Field {
  readonly name: string
  readonly label: string
  readonly type?: string
  readonly autocomplete: string
}

/** A field as the previous request has left it: with the customer's input, and what was wrong with it. */
const field = ({ autocomplete, label, name, type = "text" }: Field, session: Session.SessionView): Html => {
  const error = flashed(session, `errors.${name}`)
  return html`<div class="field">
        <label for="${name}">${label}</label>
        <input id="${name}" name="${name}" type="${type}" value="${
    flashed(session, name)
  }" autocomplete="${autocomplete}"
          required ${error && html`aria-invalid="true" aria-describedby="${name}-error"`}>
        ${error && html`<p class="error" id="${name}-error">${error}</p>`}
      </div>`
}

// -----------------------------------------------------------------------------
// cart
// -----------------------------------------------------------------------------

export const cart = (visit: Visit): Html => {
  const { session } = visit
  const { lines, total } = contentsOf(session.get(Cart))
  const content = lines.length === 0
    ? html`<p>There is nothing in it yet. <a href="/">Choose a tea</a></p>`
    : html`<ul class="lines">${
      lines.map((line) => cartLine(visit, line, flashed(session, `errors.${line.product.id}.quantity`)))
    }
    </ul>
    <p class="total">Total <strong>${money(total)}</strong></p>
    <form class="order" method="post" action="/cart/order">
      ${visit.csrf}
      <a href="/">Keep on choosing</a>
      <button>Order</button>
    </form>`
  return layout(visit, "Cart", html`<div class="panel"><h1>Your cart</h1>${content}</div>`)
}

const cartLine = (
  { csrf }: Visit,
  { product, quantity }: { readonly product: Product; readonly quantity: number },
  error: string
): Html =>
  html`
      <li>
        ${cup(product)}
        <h2>${product.name}<small class="quiet">${money(product.price)} each</small></h2>
        <form method="post" action="/cart/quantity">
          ${csrf}
          ${which(product)}
          <label class="unseen" for="${product.id}">Quantity of ${product.name}</label>
          <input id="${product.id}" name="quantity" inputmode="numeric" value="${quantity}" autocomplete="off"
            ${error && html`aria-invalid="true" aria-describedby="${product.id}-error"`}>
          <button class="secondary">Update <span class="unseen">${product.name}</span></button>
        </form>
        <form method="post" action="/cart/remove">
          ${csrf}
          ${which(product)}
          <button class="link">Remove <span class="unseen">${product.name}</span></button>
        </form>
        <strong class="price">${money(product.price * quantity)}</strong>
        ${error && html`<p class="error" id="${product.id}-error">${error}</p>`}
      </li>`

// -----------------------------------------------------------------------------
// security
// -----------------------------------------------------------------------------

export const security = (visit: Visit, { next, sessions }: Devices, now: DateTime.Utc): Html => {
  const others = html`<form class="order" method="post" action="/security/log-out-others">
        ${visit.csrf}
        <span class="quiet">Something looks wrong?</span>
        <button>Log out all other devices</button>
      </form>`
  return layout(
    visit,
    "Security",
    html`<div class="panel">
      <div>
        <h1>Where you are logged in</h1>
        <p class="lead">Log out what you don't use any more, or don't recognize.</p>
      </div>
      <ul class="devices">${sessions.toSorted(thisOneFirst).map((one) => device(visit, one, now))}
      </ul>
      ${
      Option.match(next, {
        onNone: () => "",
        onSome: (next) => html`<a href="/security?after=${next}">Earlier logins</a>`
      })
    }
      ${sessions.some(({ isCurrent }) => !isCurrent) ? others : ""}
    </div>`
  )
}

type Device = Devices["sessions"][number]

const thisOneFirst = (one: Device, other: Device): number => Number(other.isCurrent) - Number(one.isCurrent)

const device = ({ csrf }: Visit, { attributes, handle, isCurrent, lastUsedAt }: Device, now: DateTime.Utc): Html => {
  const name = Option.getOrElse(attributes.device, () => "Unknown device")
  const since = Option.match(attributes.customer, {
    onNone: () => "",
    onSome: ({ loggedInAt }) => html`Logged in since ${moment(loggedInAt, "short")}`
  })
  return html`
        <li>
          <div>
            <h2>${name}${isCurrent ? html` <span class="badge">This device</span>` : ""}</h2>
            <p class="quiet">${since}</p>
            <p class="quiet">Last used ${ago(lastUsedAt, now)}</p>
          </div>
          <form method="post" action="${isCurrent ? "/logout" : "/security/log-out"}">
            ${csrf}
            <input type="hidden" name="handle" value="${handle}">
            <button class="secondary">Log out <span class="unseen">${name}</span></button>
          </form>
        </li>`
}

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" })

/** Such as "3 minutes ago". */
export const ago = (time: DateTime.Utc, now: DateTime.Utc): string => {
  const minutes = Math.max(0, Math.floor((now.epochMilliseconds - time.epochMilliseconds) / 60_000))
  if (minutes < 1) return "just now"
  if (minutes < 60) return relative.format(-minutes, "minute")
  const hours = Math.floor(minutes / 60)
  return hours < 24 ? relative.format(-hours, "hour") : relative.format(-Math.floor(hours / 24), "day")
}

// -----------------------------------------------------------------------------
// session
// -----------------------------------------------------------------------------

export interface SessionFacts {
  readonly handle: string
  readonly createdAt: DateTime.Utc | undefined
  readonly expiresAt: DateTime.Utc | undefined
  readonly fresh: boolean
}

export const session = (visit: Visit, facts: SessionFacts): Html =>
  layout(
    visit,
    "Session",
    html`<div class="panel">
      <div>
        <h1>Your session</h1>
        <p class="lead">Its id is a secret; the handle is its name in logs. Log in, and both are new.</p>
      </div>
      <dl>
        ${row("Handle", html`<code>${facts.handle}</code>`)}
        ${row("Created", facts.createdAt === undefined ? "Not stored yet" : moment(facts.createdAt))}
        ${row("Expires", facts.expiresAt === undefined ? "Not stored yet" : moment(facts.expiresAt))}
        ${row("Fresh", facts.fresh ? "Yes, its id is new" : "No, it came with the request")}
      </dl>
      <h2>What is in it</h2>
      <dl>
        ${
      Object.entries(visit.session.all()).map(([name, value]) => row(name, html`<code>${JSON.stringify(value)}</code>`))
    }
      </dl>
    </div>`
  )

const row = (term: string, description: Content): Html =>
  html`
        <div><dt>${term}</dt><dd>${description}</dd></div>`

const moment = (time: DateTime.Utc, timeStyle: "short" | "medium" = "medium"): Html =>
  html`<time datetime="${DateTime.formatIso(time)}">${
    DateTime.formatUtc(time, { locale: "en", dateStyle: "medium", timeStyle })
  } UTC</time>`
