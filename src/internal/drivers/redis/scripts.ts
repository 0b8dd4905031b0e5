/**
 * The Redis scripts. All but one use a single key, so that a Cluster can run them too.
 *
 * Their numbers are passed as one string, because a client allocates about 130 bytes per parameter.
 */
import * as Crypto from "node:crypto"

export interface Script {
  readonly text: string
  readonly sha: string
}

const script = (text: string): Script => ({ text, sha: Crypto.createHash("sha1").update(text).digest("hex") })

/** Reads the numbers from the first parameter, in this order. */
const numbers = (...names: ReadonlyArray<string>) => `
local ${names.join(", ")} = string.match(ARGV[1], "${names.map(() => "(%S*)").join(" ")}")
`

/**
 * How long Redis keeps a key that is needed until then, plus a margin. A duration, because its clock may differ from
 * ours. An already expired key is kept for the margin too.
 */
export const keepFor = (until: number, now: number): number => Math.max(0, until - now) + 60_000

export const create = script(`${numbers("createdAt", "touchedAt", "expiresAt", "keepFor")}
if redis.call("EXISTS", KEYS[1]) == 1 then return 0 end
redis.call("HSET", KEYS[1], "~times", createdAt .. " " .. touchedAt .. " " .. expiresAt)
for index = 2, #ARGV, 2 do
  redis.call("HSET", KEYS[1], ARGV[index], ARGV[index + 1])
end
redis.call("PEXPIRE", KEYS[1], keepFor)
return 1
`)

/** The steps of a change. */
export const letters = { has: "h", lacks: "l", clear: "c", remove: "r", set: "s", increment: "i" } as const

// A session has ~times; the mark of a superseded one does not.
const readTimes = `
local stored = redis.call("HGET", KEYS[1], "~times")
local wasCreatedAt, wasTouchedAt, expiredAt = string.match(stored or "", "^(%S+) (%S+) (%S+)$")
if not tonumber(wasCreatedAt) or not tonumber(wasTouchedAt) or not tonumber(expiredAt) then return 0 end
`

// The steps follow the numbers, with a letter for each, and their arguments start at a given parameter. Expectations
// come first, so that nothing is written if one is not met.
const carryOut = (first: number) => `
local index = ${first}
local function take()
  index = index + 1
  return ARGV[index - 1]
end
local function clear()
  for _, field in ipairs(redis.call("HKEYS", KEYS[1])) do
    if field ~= "~times" then redis.call("HDEL", KEYS[1], field) end
  end
end
local function carryOut()
  for step in string.gmatch(steps, ".") do
    if step == "${letters.clear}" then
      clear()
    else
      local field = take()
      if step == "${letters.has}" then
        if redis.call("HGET", KEYS[1], field) ~= take() then return false end
      elseif step == "${letters.lacks}" then
        if redis.call("HGET", KEYS[1], field) then return false end
      elseif step == "${letters.remove}" then
        redis.call("HDEL", KEYS[1], field)
      elseif step == "${letters.set}" then
        redis.call("HSET", KEYS[1], field, take())
      elseif step == "${letters.increment}" then
        local by, initial = take(), take()
        local number = tonumber(redis.call("HGET", KEYS[1], field) or "") or tonumber(initial)
        redis.call("HSET", KEYS[1], field, string.format("%.17g", number + tonumber(by)))
      end
    end
  end
  return true
end
`

// Besides the times.
const isSame = `
local hash = redis.call("HGETALL", KEYS[1])
local _, expected = string.gsub(steps, "${letters.has}", "")
local isSame = #hash / 2 == expected + 1 and carryOut()
`

// The key stays for as long as any server needs it, even one whose clock is behind.
const keep = `
if tonumber(keepFor) > redis.call("PTTL", KEYS[1]) then redis.call("PEXPIRE", KEYS[1], keepFor) end
`

// PEXPIRE comes before HSET: a server without free memory rejects a script whose first write may need some, and a
// request that only reads must not fail because of that. For the same reason, times are written last if there is more
// to write.
const moveTimes = `
if tonumber(keepFor) > 0 then ${keep} end
if tonumber(touchedAt) < tonumber(wasTouchedAt) then touchedAt = wasTouchedAt end
if tonumber(expiresAt) < tonumber(expiredAt) then expiresAt = expiredAt end
local moved = wasCreatedAt .. " " .. touchedAt .. " " .. expiresAt
if moved ~= stored then redis.call("HSET", KEYS[1], "~times", moved) end
return 1
`

export const touch = script(`${numbers("touchedAt", "expiresAt", "keepFor")}${readTimes}${moveTimes}`)

export const update = script(`
${numbers("touchedAt", "expiresAt", "keepFor", "steps")}${readTimes}${carryOut(2)}
if not carryOut() then return redis.call("HGETALL", KEYS[1]) end
${moveTimes}`)

const mark = `
redis.call("HSET", KEYS[1], "~supersededUntil", supersededUntil, "~successor", ARGV[2])
redis.call("PEXPIRE", KEYS[1], keepMarkFor)
`

export const supersede = script(`${numbers("supersededUntil", "keepMarkFor", "steps")}${carryOut(3)}
if redis.call("HEXISTS", KEYS[1], "~times") == 0 then return {0, {}} end
${isSame}
if not isSame then return {0, hash} end
redis.call("DEL", KEYS[1])
${mark}
return {1, hash}
`)

export const regenerate = script(`
${numbers("createdAt", "touchedAt", "expiresAt", "keepFor", "supersededUntil", "keepMarkFor", "steps")}
if redis.call("EXISTS", KEYS[2]) == 1 then return "taken" end
${readTimes}${carryOut(3)}${isSame}
if not isSame then return hash end
if tonumber(expiresAt) < tonumber(expiredAt) then expiresAt = expiredAt end
redis.call("HSET", KEYS[1], "~times", createdAt .. " " .. touchedAt .. " " .. expiresAt)
${keep}
redis.call("RENAME", KEYS[1], KEYS[2])
${mark}
return 1
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

// WAIT waits for the last write of its connection, and returns at once without one. So this always writes
// something, even if the session is already gone: the script may be a retry after replicas did not confirm in time.
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

// UNLINK comes first: a server without free memory runs a script that begins by freeing some.
export const bury = script(`${numbers("supersededUntil", "keepMarkFor")}
redis.call("UNLINK", KEYS[1])
${mark}
return 1
`)

// Each time an entry is added, this many are checked, and expired ones are removed. Expired entries may be anywhere,
// because sessions have different lifetimes, so the clock determines where the check starts. On average, at most one
// expired entry is left for ten others.
const lookedAt = 10

export const addEntry = script(`${numbers("score", "keepFor", "now", "overSince", "limit")}
local kind = redis.call("TYPE", KEYS[1]).ok
if kind ~= "zset" and kind ~= "none" then redis.call("UNLINK", KEYS[1]) end
redis.call("ZADD", KEYS[1], score, ARGV[2])
${keep}
local count = redis.call("ZCARD", KEYS[1])
local first = now % math.max(1, count - ${lookedAt - 1})
for _, member in ipairs(redis.call("ZRANGE", KEYS[1], first, first + ${lookedAt - 1})) do
  local ends = tonumber(string.match(member, " %w+ (%w+)$") or "", 36)
  if not ends or ends <= tonumber(overSince) then count = count - redis.call("ZREM", KEYS[1], member) end
end
return limit ~= "" and count > tonumber(limit) and 1 or 0
`)

/** The commands that the scripts call, besides those that requests send directly. */
export const commands: ReadonlyArray<string> =
  "exists hset pexpire pttl hget hmget hkeys hexists hdel type zadd zcard zrange zrem del unlink rename"
    .split(" ")

/**
 * Calls each command and returns those that fail, with the reason. With two keys, it shows whether a script may use
 * two.
 */
export const tryOut = script(`
local failures = {}
local function try(...)
  local answer = redis.pcall(...)
  if type(answer) ~= "table" or not answer.err then return true end
  failures[#failures + 1] = (...)
  failures[#failures + 1] = answer.err
end
local key = KEYS[#KEYS]
try("EXISTS", key)
-- Without memory left, there is nothing to rename.
if try("HSET", KEYS[1], "~", "") then try("RENAME", KEYS[1], key) end
try("PEXPIRE", key, "60000")
try("PTTL", key)
try("HGET", key, "~")
try("HMGET", key, "~", "~~")
try("HGETALL", key)
try("HKEYS", key)
try("HEXISTS", key, "~")
try("HDEL", key, "~")
try("TYPE", key)
-- On a hash, they fail only after Redis has seen that they are allowed.
try("ZADD", key, "0", "~")
try("ZCARD", key)
try("ZRANGE", key, "0", "0")
try("ZREVRANGEBYSCORE", key, "0", "0")
try("ZREM", key, "~")
try("DEL", key)
try("UNLINK", key)
return failures
`)
