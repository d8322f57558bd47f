#!lua flags=allow-oom
-- Pause an account, or one tool, model or provider of a partition: nothing new is created of it. Or end the pause.
--
-- KEYS[1]  account, or policy
-- Returns  {"not_found"}: no such account, or it is not paused {"paused", since} {"ended"}
-- Writes   account, or policy
local
  field, -- `pause`, or `pause:<kind>:<name>`
  ends, -- "1": end it
  reason,
  now -- real time, the same for all partitions
  = unpack(ARGV)
local known = redis.call("HGET", KEYS[1], field)
if ends == "1" and not known then return {"not_found"} end
if redis.call("EXISTS", KEYS[1]) == 0 then return {"not_found"} end
local since = known and string.match(known, "^%d+") or now

if ends == "1" then
  redis.call("HDEL", KEYS[1], field)
  return {"ended"}
end
redis.call("HSET", KEYS[1], field, since .. "," .. reason)
return {"paused", since}
