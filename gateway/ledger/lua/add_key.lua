#!lua
-- Add a key to an account's own list, which decides what a key may do.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"added", created at}
-- Writes   account
--- @include "lib/amounts"
local
  key_id, label,
  limit, -- millicredits,period, or ""
  bounds -- JSON, or ""
  = unpack(ARGV)
if redis.call("EXISTS", KEYS[1]) == 0 then return {"not_found"} end
local known = redis.call("HGET", KEYS[1], "key:" .. key_id)
local now = known and string.match(known, "^(%d+),") or amounts.text(amounts.real_now())
redis.call("HSET", KEYS[1], "key:" .. key_id, now .. "," .. label)
if limit ~= "" then redis.call("HSET", KEYS[1], "limit:" .. key_id, limit) end
if bounds ~= "" then redis.call("HSET", KEYS[1], "bound:" .. key_id, bounds) end
return {"added", now}
