#!lua flags=no-writes
-- Read the counters of some days.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"keys_changed"} {"usage", fields of each day…}
-- Writes   nothing
--- @include "lib/keys"
local
  keys_version, -- or "": do not check
  days -- 2026-11-22, comma-separated
  = unpack(ARGV)
local account = string.match(KEYS[1], ":account:(.*)$")
local values = redis.call("HMGET", KEYS[1], "created_at", "keys_version")
if not values[1] then return {"not_found"} end
if keys_version ~= "" and keys_version ~= (values[2] or "0") then return {"keys_changed"} end
local reply = {"usage"}
for day in string.gmatch(days, "[^,]+") do reply[#reply + 1] = redis.call("HGETALL", keys.usage(account, day)) end
return reply
