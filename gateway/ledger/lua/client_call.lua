#!lua
-- Idempotency for clients that send no key. `call`: a new call, or retry number `retries` of one. A retry belongs, of
-- equal calls, to the newest unanswered one with one retry less; else to the newest unanswered one with no more
-- retries; else to the last answered one, whose response may have been lost. `answer`: a call has its response.
-- `forget`: it was refused. The list, newest first, has a call as `-0 key`, retried twice as `-2 key`, and the last
-- answered one as `=0 key`.
--
-- KEYS[1]  client_call
-- Returns  {"call", key}
-- Writes   client_call
local
  what,
  key, -- of a new call, or of the one to answer or forget
  retries,
  seconds, -- how long it is kept
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
