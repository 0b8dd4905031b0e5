/**
 * Sessions in files over HTTP: requests of one session at the same time, on one server and on two that share the folder.
 */
import { fileStore, temporaryFolder } from "../../support/fileStore.ts"
import { ownerRaces } from "../../support/ownerRaces.ts"
import { races } from "../../support/races.ts"
import { shared } from "../../support/redisServer.ts"
import { renewals } from "../../support/renewals.ts"

const location = shared(temporaryFolder)

races("the FileLayer", { store: () => fileStore(location()) })

renewals("the FileLayer", () => fileStore(location()))

ownerRaces("the FileLayer", { store: () => fileStore(location()) })
