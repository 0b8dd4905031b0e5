/**
 * The fields of a request's body, for flashing a form. A body that is neither a form nor a JSON object has none. Effect reads each
 * kind of body, but a handler knows which kind to expect, and this code has to find out.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as UrlParams from "effect/http/UrlParams"
import * as Path from "effect/Path"
import * as Predicate from "effect/Predicate"
import type { Json, JsonObject } from "effect/Schema"
import * as Scope from "effect/Scope"

export const fieldsOf = (request: HttpServerRequest, context: Context.Context<never>): Effect.Effect<JsonObject> => {
  const type = request.headers["content-type"] ?? ""
  const fields: Effect.Effect<JsonObject, unknown> = type.startsWith("application/x-www-form-urlencoded")
    ? Effect.map(request.urlParamsBody, (params): JsonObject => UrlParams.toRecord(params))
    : type.startsWith("application/json")
    ? Effect.map(request.json, (body) => Predicate.isObject(body) ? body as JsonObject : {})
    : type.startsWith("multipart/form-data")
    ? multipartFields(request, context)
    : Effect.succeed({})
  // The handler reports a body that does not parse.
  return Effect.catchCause(fields, () => Effect.succeed({}))
}

/** The text fields of a multipart form, if the server provides the services to read one. */
const multipartFields = (request: HttpServerRequest, context: Context.Context<never>) => {
  const services = context as Context.Context<FileSystem.FileSystem | Path.Path | Scope.Scope>
  const hasServices = [FileSystem.FileSystem, Path.Path, Scope.Scope].every((service) =>
    Context.getOrUndefined(services, service as typeof Scope.Scope) !== undefined
  )
  if (!hasServices) return Effect.succeed({})
  return Effect.map(Effect.provideContext(request.multipart, services), (form): JsonObject =>
    Object.fromEntries(
      Object.entries(form).filter(([, value]) =>
        typeof value === "string" || Array.isArray(value) && value.every((one) => typeof one === "string")
      ) as Array<[string, Json]>
    ))
}
