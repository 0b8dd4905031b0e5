/**
 * Owners of sessions in files: the contract of back ends.
 */
import { Effect } from "effect"
import { fileBackend, temporaryFolder } from "../../support/fileStore.ts"
import * as OwnerIndex from "../../support/ownerIndex.ts"
import { shared } from "../../support/redisServer.ts"

const location = shared(temporaryFolder)

OwnerIndex.suite("FileLayer's owners", {
  backend: Effect.suspend(() => fileBackend(location())),
  isForSeveral: true
})
