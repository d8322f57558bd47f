#!lua flags=no-writes
-- Read the counters of some days.
--
-- KEYS[1]  account
-- ARGV     1 keys version or "", then days (2026-11-22)
-- Returns  {"not_found"} {"keys_changed"} {"usage", fields of each day…}
-- Writes   nothing
--- @include "lib/keys"
local account = string.match(KEYS[1], ":account:(.*)$")
local values = redis.call("HMGET", KEYS[1], "created_at", "keys_version")
if not values[1] then return {"not_found"} end
if ARGV[1] ~= "" and ARGV[1] ~= (values[2] or "0") then return {"keys_changed"} end
local reply = {"usage"}
for index = 2, #ARGV do reply[index] = redis.call("HGETALL", keys.usage(account, ARGV[index])) end
return reply
