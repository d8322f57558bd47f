#!lua
-- Remember the calls of a client that sends no idempotency key. `call`: a new one, or its retry number `retries`. That
-- is, of equal calls, the newest without a response that was retried once less; else the newest that was not retried
-- more often; else the last that has a response, for this may have been lost. `answer`: a call has its response.
-- `forget`: it was refused. The list has a call as `-0 key`, retried twice as `-2 key`, the last with a response as
-- `=0 key`; the newest first.
--
-- KEYS[1]  client_call
-- Returns  {"call", key}
-- Writes   client_call
local
  what,
  key, -- of a new call, or of the one that is answered or forgotten
  retries,
  seconds, -- how long it is remembered
  calls_max
  = unpack(ARGV)
local own, answered, best
for index, entry in ipairs(redis.call("LRANGE", KEYS[1], 0, -1)) do
  local state, level, name = string.match(entry, "^([-=])(%d+) (%S+)$")
  local call = {index = index - 1, entry = entry, state = state, level = tonumber(level), key = name}
  local fits = call.level == tonumber(retries) - 1 and 2 or 1
  if call.key == key then own = call end
  if state == "=" then answered = call end
  if state == "-" and call.level <= tonumber(retries) and fits > (best and best.fits or 0) then
    best, call.fits = call, fits
  end
end
local retried = tonumber(retries) > 0 and (best or answered) or own

if what ~= "call" then
  if own then redis.call("LREM", KEYS[1], 1, own.entry) end
  if what == "answer" then
    if answered then redis.call("LREM", KEYS[1], 1, answered.entry) end
    redis.call("RPUSH", KEYS[1], "=" .. (own and own.level or 0) .. " " .. key)
  end
elseif retried then
  redis.call("LSET", KEYS[1], retried.index, retried.state .. retries .. " " .. retried.key)
else
  redis.call("LPUSH", KEYS[1], "-" .. retries .. " " .. key)
  redis.call("LTRIM", KEYS[1], 0, calls_max - 1)
end
redis.call("EXPIRE", KEYS[1], seconds)
return {"call", what == "call" and retried and retried.key or key}
