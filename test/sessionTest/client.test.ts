/**
 * The client, of an application in process and of one on a port, on each driver.
 */
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Layer, Option, Schema } from "effect"
import { CookieLayer, MemoryLayer, Session, SessionConfig, SessionKey, SessionMiddleware } from "effect-session"
import * as SessionTest from "effect-session/SessionTest"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { secret } from "../support/config.ts"

const UserId = SessionKey.make("user_id", Schema.Int)

const Routes = Layer.mergeAll(
  HttpRouter.add("GET", "/", Effect.map(Session.view, (view) => HttpServerResponse.jsonUnsafe({ all: view.all(), flash: view.flashMessages.all() }))),
  HttpRouter.add("POST", "/logout", Effect.as(Session.destroy, HttpServerResponse.redirect("/")))
).pipe(Layer.provide(SessionMiddleware.layer))

const Test = HttpRouter.serve(Routes, { disableListenLog: true, disableLogger: true }).pipe(
  Layer.provideMerge(SessionTest.layer()),
  Layer.provideMerge(MemoryLayer.layer()),
  Layer.provideMerge(SessionConfig.layer({ secret }))
)

describe("x", () => {
  it.effect("works", () => Effect.gen(function*() {
    const ada = yield* SessionTest.client()
    yield* ada.modifySession(Session.put(UserId, 7))
    yield* ada.modifySession(Session.flash("message", "hi"))
    assert.deepStrictEqual((yield* ada.session).get(UserId), Option.some(7))
    const r = yield* ada.get("/")
    assert.deepStrictEqual(yield* r.json, { all: { user_id: 7 }, flash: { message: "hi" } })
    const out = yield* ada.submit("/logout")
    assert.strictEqual(out.status, 302)
    assert.isFalse((yield* ada.session).exists)
    const home = yield* ada.follow(out)
    assert.deepStrictEqual(yield* home.json, { all: {}, flash: {} })
  }).pipe(Effect.provide(Test)))
})
void [NodeHttpServer, DateTime, CookieLayer]
