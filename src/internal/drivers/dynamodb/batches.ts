/**
 * Requests for many items. DynamoDB limits their number, and may leave some unprocessed.
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import { DynamoError } from "./client.ts"

/** The result of one request. */
export interface Outcome<A, B> {
  readonly answers: ReadonlyArray<B>
  /** What is unprocessed, because DynamoDB is too busy or the answer is too large. */
  readonly unprocessed: ReadonlyArray<A>
}

/** The answers to all, in any order. Without items, nothing is sent. */
export const run = <A, B>(
  all: ReadonlyArray<A>,
  most: number,
  send: (batch: ReadonlyArray<A>) => Effect.Effect<Outcome<A, B>, DynamoError>
): Effect.Effect<ReadonlyArray<B>, DynamoError> =>
  Effect.map(
    Effect.forEach(Arr.chunksOf(all, most), (batch) => untilDone(batch, send, 0), { concurrency: 4 }),
    (answers) => answers.flat()
  )

/** The SDK retries only requests that failed as a whole. */
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

/** Together they take 6.4 seconds, longer than a store's default time limit. */
const retries = 7

const stillBusy = `DynamoDB is throttling requests: a part was left unprocessed ${retries + 1} times`
