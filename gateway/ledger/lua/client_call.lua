#!lua
-- Idempotency for clients that send no key. `call`: a new call, or retry number `retries` of one. A retry belongs, of
-- equal calls that are not `waiting`, to the newest unanswered one with one retry less, if possible one that is not
-- `connected`; else to the newest unanswered one with no more retries; else to the last answered one, whose response
-- may have been lost, if that was sent since this gateway started. `answer`: a call has its response. `forget`: it was
-- refused. `refuse`: the same, and its client was told to retry. `keep`: its client still waits. The list, newest
-- first, has a call as `-0 key`, retried twice as `-2 key`, a refused one as `!0 key time`, the last answered one as
-- `=0 key time`.
--
-- KEYS[1]  client_call
-- Returns  {"call", key}
-- Writes   client_call
local
  what,
  key, -- of a new call, or of the one to answer, forget, refuse or keep
  retries,
  seconds, -- how long it is kept
  calls_max,
  waiting, -- keys of calls in progress that this is no retry of, separated by spaces
  connected, -- keys of calls in progress whose client is connected
  up_ms -- uptime of this gateway
  = unpack(ARGV)
local REFUSED_MS = 150000 -- clients wait for at most two minutes before they retry
local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
retries = tonumber(retries)
local own, answered, best
for index, entry in ipairs(redis.call("LRANGE", KEYS[1], 0, -1)) do
  local state, level, name, at = string.match(entry, "^([-=!])(%d+) (%S+)(.*)$")
  local call = {index = index - 1, entry = entry, state = state, level = tonumber(level), key = name, at = at}
  local before = call.level == retries - 1
  local fits = (before and 2 or 0) + (string.find(connected, call.key, 1, true) and 1 or 2)
  if call.key == key then own = call end
  if state == "=" then answered = call end
  local open = state == "-" and call.level <= retries
    or state == "!" and before and tonumber(at) >= now - REFUSED_MS
  if open and not string.find(waiting, call.key, 1, true) and fits > (best and best.fits or 0) then
    best, call.fits = call, fits
  end
end
-- A response sent before this gateway started was sent whole: the retry is of a call that found no gateway.
local lost = answered and (tonumber(answered.at) or 0) >= now - up_ms and answered
local retried = retries > 0 and (best or lost) or own

if what == "answer" or what == "forget" then
  if own then redis.call("LREM", KEYS[1], 1, own.entry) end
  if what == "answer" then
    if answered then redis.call("LREM", KEYS[1], 1, answered.entry) end
    redis.call("RPUSH", KEYS[1], string.format("=%d %s %.0f", own and own.level or 0, key, now))
  end
elseif what == "refuse" then
  if own then redis.call("LSET", KEYS[1], own.index, string.format("!%d %s %.0f", own.level, key, now)) end
elseif what == "call" and retried then
  local again = retried.state == "=" and "=" .. retries .. " " .. retried.key .. retried.at
  redis.call("LSET", KEYS[1], retried.index, again or "-" .. retries .. " " .. retried.key)
elseif what == "call" then
  redis.call("LPUSH", KEYS[1], "-" .. retries .. " " .. key)
  redis.call("LTRIM", KEYS[1], 0, calls_max - 1)
end
-- Equal calls may be kept for different times.
if redis.call("TTL", KEYS[1]) < tonumber(seconds) then redis.call("EXPIRE", KEYS[1], seconds) end
return {"call", what == "call" and retried and retried.key or key}
