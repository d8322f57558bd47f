#!lua flags=no-writes
-- Read one generation, for an account's key or for anyone ("").
--
-- KEYS[1]  generation
-- ARGV     1 account or "", 2 keys version or ""
-- Returns  {"not_found"} {"keys_changed"} {"generation", fields}
-- Writes   nothing
--- @include "lib/keys" "lib/amounts" "lib/generations"
local fields = redis.call("HGETALL", KEYS[1])
if #fields == 0 then return {"not_found"} end
-- Another account's generation may be in another partition than the caller's keys version, so it is refused first.
if ARGV[1] ~= "" and redis.call("HGET", KEYS[1], "account") ~= ARGV[1] then return {"not_found"} end
local version = ARGV[1] ~= "" and redis.call("HGET", keys.account(ARGV[1]), "keys_version") or "0"
if ARGV[1] ~= "" and ARGV[2] ~= "" and ARGV[2] ~= version then return {"keys_changed"} end
return {"generation", {string.match(KEYS[1], ":generation:(.*)$"), fields}}
