/**
 * What the pages look like: functions from plain values to HTML.
 *
 * What they know of the session is a view of it, which is read without Effects: `session.get(Visits)`.
 */
import { DateTime, Option } from "effect"
import type { Session } from "effect-session"
import { contentsOf } from "./cart.ts"
import { type Content, type Html, html } from "./html.ts"
import { Cart, Customer, Visits } from "./keys.ts"
import { type Product, products } from "./products.ts"

// -----------------------------------------------------------------------------
// parts
// -----------------------------------------------------------------------------

const euros = new Intl.NumberFormat("en", { style: "currency", currency: "EUR" })

export const money = (cents: number): string => euros.format(cents / 100)

/** What the request before has left for this one, such as "message" or "errors.name". */
const flashed = (session: Session.SessionView, path: string): string => String(session.flashMessages.get(path, ""))

/** What is on every page. */
const layout = (session: Session.SessionView, title: string, content: Html): Html => {
  const message = flashed(session, "message")
  return html`<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>${title} · Leaf &amp; Cup</title>
  <link rel="stylesheet" href="/style.css">
  <link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'%3E%3Ccircle cx='4' cy='4' r='3.5' fill='%232f6b4f'/%3E%3C/svg%3E">
</head>
<body>
  <header class="top">
    <a class="brand" href="/">Leaf &amp; Cup</a>
    <nav aria-label="Main">
      <a href="/cart">Cart <span class="count">${contentsOf(session.get(Cart)).count}</span></a>
      <a href="/session">Session</a>
      ${Option.match(session.get(Customer), { onNone: () => html`<a href="/login">Log in</a>`, onSome: account })}
    </nav>
  </header>
  <main>
    ${message && html`<p class="message" role="status">${message}</p>`}
    ${content}
  </main>
</body>
</html>
`
}

const account = ({ name }: { readonly name: string }): Html =>
  html`<span class="customer">${name}</span>
      <form method="post" action="/logout"><button class="link">Log out</button></form>`

/** The hidden field that says which product a form is about. */
const which = ({ id }: Product): Html => html`<input type="hidden" name="product" value="${id}">`

const cup = ({ color }: Product): Html => html`<span class="cup" style="--tea: ${color}"></span>`

// -----------------------------------------------------------------------------
// home
// -----------------------------------------------------------------------------

export const home = (session: Session.SessionView): Html =>
  layout(
    session,
    "Tea",
    html`<h1>Tea by the hundred grams</h1>
    <p class="lead">You have opened this page ${times(session.get(Visits))}.</p>
    <ul class="products">${products.map(productCard)}</ul>`
  )

const times = (count: number): string => count === 1 ? "once" : count === 2 ? "twice" : `${count} times`

const productCard = (product: Product): Html =>
  html`
      <li>
        ${cup(product)}
        <h2>${product.name}</h2>
        <p class="quiet">${product.description}</p>
        <form method="post" action="/cart/add">
          ${which(product)}
          <span class="price">${money(product.price)}</span>
          <button>Add to cart <span class="unseen">${product.name}</span></button>
        </form>
      </li>`

// -----------------------------------------------------------------------------
// login
// -----------------------------------------------------------------------------

export const login = (session: Session.SessionView): Html =>
  layout(
    session,
    "Log in",
    // "novalidate": the browser would check the form too, but this is to show what the server does.
    html`<form class="panel narrow" method="post" action="/login" novalidate>
      <h1>Log in</h1>
      <p class="quiet">Any name will do, with any password of at least 8 characters.</p>
      ${field({ name: "name", label: "Name", autocomplete: "username" }, session)}
      ${field({ name: "password", label: "Password", type: "password", autocomplete: "current-password" }, session)}
      <button>Log in</button>
    </form>`
  )

interface Field {
  readonly name: string
  readonly label: string
  readonly type?: string
  readonly autocomplete: string
}

/** A field as the request before has left it: with what was written into it, and what was wrong with that. */
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

export const cart = (session: Session.SessionView): Html => {
  const { lines, total } = contentsOf(session.get(Cart))
  const content = lines.length === 0
    ? html`<p>There is nothing in it yet. <a href="/">Choose a tea</a></p>`
    : html`<ul class="lines">${
      lines.map((line) => cartLine(line, flashed(session, `errors.${line.product.id}.quantity`)))
    }
    </ul>
    <p class="total">Total <strong>${money(total)}</strong></p>
    <form class="order" method="post" action="/cart/order">
      <a href="/">Keep on choosing</a>
      <button>Order</button>
    </form>`
  return layout(session, "Cart", html`<div class="panel"><h1>Your cart</h1>${content}</div>`)
}

const cartLine = (
  { product, quantity }: { readonly product: Product; readonly quantity: number },
  error: string
): Html =>
  html`
      <li>
        ${cup(product)}
        <h2>${product.name}<small class="quiet">${money(product.price)} each</small></h2>
        <form method="post" action="/cart/quantity">
          ${which(product)}
          <label class="unseen" for="${product.id}">Quantity of ${product.name}</label>
          <input id="${product.id}" name="quantity" inputmode="numeric" value="${quantity}" autocomplete="off"
            ${error && html`aria-invalid="true" aria-describedby="${product.id}-error"`}>
          <button class="secondary">Update <span class="unseen">${product.name}</span></button>
        </form>
        <form method="post" action="/cart/remove">
          ${which(product)}
          <button class="link">Remove <span class="unseen">${product.name}</span></button>
        </form>
        <strong class="price">${money(product.price * quantity)}</strong>
        ${error && html`<p class="error" id="${product.id}-error">${error}</p>`}
      </li>`

// -----------------------------------------------------------------------------
// session
// -----------------------------------------------------------------------------

export interface SessionFacts {
  readonly handle: string
  readonly createdAt: DateTime.Utc | undefined
  readonly expiresAt: DateTime.Utc | undefined
  readonly fresh: boolean
}

export const session = (session: Session.SessionView, facts: SessionFacts): Html =>
  layout(
    session,
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
        ${Object.entries(session.all()).map(([name, value]) => row(name, html`<code>${JSON.stringify(value)}</code>`))}
      </dl>
    </div>`
  )

const row = (term: string, description: Content): Html =>
  html`
        <div><dt>${term}</dt><dd>${description}</dd></div>`

const moment = (time: DateTime.Utc): Html =>
  html`<time datetime="${DateTime.formatIso(time)}">${
    DateTime.formatUtc(time, { locale: "en", dateStyle: "medium", timeStyle: "medium" })
  } UTC</time>`
