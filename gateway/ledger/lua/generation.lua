#!lua flags=no-writes
-- Read one generation, for an account's key or for anyone ("").
--
-- KEYS[1]  generation
-- ARGV     1 account or "", 2 keys version or "", 3 what the caller has of it: "version operation", or ""
-- Returns  {"not_found"} {"keys_changed"} {"same"}: as the caller has it {"generation", fields}
-- Writes   nothing
--- @include "lib/keys"
local account, version, operation = unpack(redis.call("HMGET", KEYS[1], "account", "version", "operation"), 1, 3)
-- Another account's generation may be in another partition than the caller's keys version, so it is refused first.
if not account or (ARGV[1] ~= "" and ARGV[1] ~= account) then return {"not_found"} end
local keys_version = ARGV[1] ~= "" and redis.call("HGET", keys.account(account), "keys_version") or "0"
if ARGV[1] ~= "" and ARGV[2] ~= "" and ARGV[2] ~= keys_version then return {"keys_changed"} end
if ARGV[3] == version .. " " .. operation then return {"same"} end
return {"generation", {string.match(KEYS[1], ":generation:(.*)$"), redis.call("HGETALL", KEYS[1])}}
