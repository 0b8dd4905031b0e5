/**
 * The scripts that Redis runs, each on one key, so that a Cluster runs them as well.
 */
import * as Crypto from "node:crypto"

export interface Script {
  readonly text: string
  readonly sha: string
}

const script = (text: string): Script => ({ text, sha: Crypto.createHash("sha1").update(text).digest("hex") })

export const create = script(`
if redis.call("EXISTS", KEYS[1]) == 1 then return 0 end
for index = 2, #ARGV, 2 do
  redis.call("HSET", KEYS[1], ARGV[index], ARGV[index + 1])
end
redis.call("PEXPIRE", KEYS[1], ARGV[1])
return 1
`)

// A session has ~expiresAt; the mark of a superseded one has not.
const readTimes = `
local times = redis.call("HMGET", KEYS[1], "~touchedAt", "~expiresAt")
local touchedAt, expiresAt = tonumber(times[1] or ""), tonumber(times[2] or "")
if not touchedAt or not expiresAt then return 0 end
`

// The parameters after the first three are lists, each with its length before it.
const lists = `
local index = 4
local function count()
  index = index + 1
  return tonumber(ARGV[index - 1])
end
`

// What a field must hold has "=" before it, so that it is told from a field that must not be there.
const isExpected = `
local function isExpected()
  for _ = 1, count() do
    local value = redis.call("HGET", KEYS[1], ARGV[index])
    if (value and "=" .. value or "") ~= ARGV[index + 1] then return false end
    index = index + 2
  end
  return true
end
`

// PEXPIRE before HSET: a server without memory left refuses a script whose first write could take some, and a request
// that only reads must not fail because of it. For the same reason, times move last where there is more to write.
// The key stays for as long as any server wants it, also one whose clock is behind those of the others.
const moveTimes = `
if tonumber(ARGV[3]) > 0 and tonumber(ARGV[3]) > redis.call("PTTL", KEYS[1]) then
  redis.call("PEXPIRE", KEYS[1], ARGV[3])
end
if tonumber(ARGV[2]) > expiresAt then redis.call("HSET", KEYS[1], "~expiresAt", ARGV[2]) end
if tonumber(ARGV[1]) > touchedAt then redis.call("HSET", KEYS[1], "~touchedAt", ARGV[1]) end
return 1
`

export const touch = script(readTimes + moveTimes)

export const update = script(`${readTimes}${lists}${isExpected}
if not isExpected() then return redis.call("HGETALL", KEYS[1]) end
if count() == 1 then
  for _, field in ipairs(redis.call("HKEYS", KEYS[1])) do
    if field ~= "~createdAt" and field ~= "~touchedAt" and field ~= "~expiresAt" then
      redis.call("HDEL", KEYS[1], field)
    end
  end
end
for _ = 1, count() do
  redis.call("HDEL", KEYS[1], ARGV[index])
  index = index + 1
end
for _ = 1, count() do
  redis.call("HSET", KEYS[1], ARGV[index], ARGV[index + 1])
  index = index + 2
end
while index <= #ARGV do
  local number = tonumber(redis.call("HGET", KEYS[1], ARGV[index]) or "") or tonumber(ARGV[index + 2])
  redis.call("HSET", KEYS[1], ARGV[index], string.format("%.17g", number + tonumber(ARGV[index + 1])))
  index = index + 3
end
${moveTimes}`)

export const supersede = script(`${lists}${isExpected}
if redis.call("HEXISTS", KEYS[1], "~expiresAt") == 0 then return {0, {}} end
local hash = redis.call("HGETALL", KEYS[1])
local size = tonumber(ARGV[4])
-- Beside the three times.
if #hash / 2 ~= size + 3 or not isExpected() then return {0, hash} end
redis.call("DEL", KEYS[1])
redis.call("HSET", KEYS[1], "~supersededUntil", ARGV[1], "~successor", ARGV[2])
redis.call("PEXPIRE", KEYS[1], ARGV[3])
return {1, hash}
`)

const readMark = `
local mark = redis.call("TYPE", KEYS[1]).ok == "hash"
  and redis.call("HMGET", KEYS[1], "~supersededUntil", "~successor") or {}
local function answer()
  return {"~supersededUntil", mark[1], "~successor", mark[2] or ""}
end
`

export const destroy = script(`${readMark}
if mark[1] then return answer() end
redis.call("UNLINK", KEYS[1])
return {}
`)

// WAIT waits for what its connection has written last, and with nothing written it answers at once. So something is written in
// any case, also if the session has gone already: the script may be tried again, as replicas have not confirmed it in time.
export const destroyForGood = script(`${readMark}
if mark[1] then
  redis.pcall("HSET", KEYS[1], "~successor", mark[2] or "")
  return answer()
end
if redis.call("UNLINK", KEYS[1]) == 0 then
  redis.pcall("HSET", KEYS[1], "~", "")
  redis.call("UNLINK", KEYS[1])
end
return {}
`)

/** What the scripts call, besides what requests do themselves. */
export const commands: ReadonlyArray<string> = "exists hset pexpire pttl hget hmget hkeys hexists hdel type del unlink"
  .split(" ")

/** Calls each command and answers with those that fail, and why. */
export const tryOut = script(`
local failures = {}
local function try(...)
  local answer = redis.pcall(...)
  if type(answer) == "table" and answer.err then
    failures[#failures + 1] = (...)
    failures[#failures + 1] = answer.err
  end
end
try("EXISTS", KEYS[1])
try("HSET", KEYS[1], "~", "")
try("PEXPIRE", KEYS[1], "60000")
try("PTTL", KEYS[1])
try("HGET", KEYS[1], "~")
try("HMGET", KEYS[1], "~", "~~")
try("HGETALL", KEYS[1])
try("HKEYS", KEYS[1])
try("HEXISTS", KEYS[1], "~")
try("HDEL", KEYS[1], "~")
try("TYPE", KEYS[1])
try("DEL", KEYS[1])
try("UNLINK", KEYS[1])
return failures
`)
