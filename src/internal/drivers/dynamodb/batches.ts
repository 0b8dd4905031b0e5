/**
 * Requests for many items at once, of which DynamoDB takes so many, and may leave some undone.
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import { DynamoError } from "./client.ts"

/** What one request has come to. */
export interface Outcome<A, B> {
  readonly answers: ReadonlyArray<B>
  /** What it has left undone: it is too busy, or the answer is too large. */
  readonly unprocessed: ReadonlyArray<A>
}

/** The answers of all, in any order. Where there is nothing to ask for, nothing is sent. */
export const run = <A, B>(
  all: ReadonlyArray<A>,
  most: number,
  send: (batch: ReadonlyArray<A>) => Effect.Effect<Outcome<A, B>, DynamoError>
): Effect.Effect<ReadonlyArray<B>, DynamoError> =>
  Effect.map(
    Effect.forEach(Arr.chunksOf(all, most), (batch) => untilDone(batch, send, 0), { concurrency: 4 }),
    (answers) => answers.flat()
  )

/** The SDK only tries again what has failed as a whole. */
const untilDone = <A, B>(
  batch: ReadonlyArray<A>,
  send: (batch: ReadonlyArray<A>) => Effect.Effect<Outcome<A, B>, DynamoError>,
  tries: number
): Effect.Effect<ReadonlyArray<B>, DynamoError> =>
  Effect.flatMap(send(batch), ({ answers, unprocessed }) =>
    unprocessed.length === 0
      ? Effect.succeed(answers)
      : tries === retries
      ? Effect.fail(new DynamoError("ThrottlingException", stillBusy, tries + 1))
      : untilDone(unprocessed, send, tries + 1).pipe(
        Effect.delay(firstDelay * 2 ** tries),
        Effect.map((more) => [...answers, ...more])
      ))

const firstDelay = 50

/** With them, it takes 6.4 seconds: the time limit of a store is over before, if it is not longer than usual. */
const retries = 7

const stillBusy = `DynamoDB is throttling requests: a part was left unprocessed ${retries + 1} times`
