#!lua flags=allow-oom
-- Pause an account, or one tool, model or provider of a partition: nothing new is created of it, or it waits, and what
-- waits stays where it is. Or end the pause.
--
-- KEYS[1]  account, or policy
-- Returns  {"not_found"}: no such account, or it is not paused {"paused", since} {"ended"}
-- Writes   account, or policy
--- @include "lib/pauses" "lib/standstill" "lib/archive"
local
  field, -- `pause`, or `pause:<kind>:<name>`
  ends, -- "1": end it
  how, -- "", " wait", " until <end>" or both
  reason,
  now -- real time, the same for all partitions
  = unpack(ARGV)
local known, former = unpack(redis.call("HMGET", KEYS[1], field, "paused" .. string.sub(field, 6)), 1, 2)
local account = string.match(KEYS[1], ":account:(.*)$")
if ends == "1" and not known then return {"not_found"} end
if redis.call("EXISTS", KEYS[1]) == 0 then return {"not_found"} end
local since, _, was_until
if known then since, _, was_until = pauses.parse(known) end
local over = was_until and tonumber(was_until) <= tonumber(now)

if account then archive.mark(account, now) end
-- It has ended now, or had by itself: what waits needs to know for how long it was paused.
if known and (over or ends == "1") then
  local span = standstill.with(former, since, over and was_until or now)
  redis.call("HSET", KEYS[1], "paused" .. string.sub(field, 6), span)
  since = nil
end
if ends == "1" then
  redis.call("HDEL", KEYS[1], field)
  return {"ended"}
end
redis.call("HSET", KEYS[1], field, (since or now) .. how .. "," .. reason)
return {"paused", since or now}
