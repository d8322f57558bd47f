#!lua flags=no-writes
-- Read one generation, for an account's key, a member's, or for anyone ("").
--
-- KEYS[1]  generation
-- Returns  {"not_found"} {"keys_changed"} {"same"}: unchanged {"generation", fields}
-- Writes   nothing
--- @include "lib/keys"
local
  account, -- or "": anyone
  keys_version, -- or "": do not check
  member, -- or "": anyone of the account
  known -- the caller's copy: "version operation", or ""
  = unpack(ARGV)
local owner, version, operation, maker =
  unpack(redis.call("HMGET", KEYS[1], "account", "version", "operation", "member"), 1, 4)
-- Another account's generation may be in another partition than the caller's keys version, so it is refused first.
if not owner or (account ~= "" and account ~= owner) then return {"not_found"} end
local in_force = account ~= "" and redis.call("HGET", keys.account(owner), "keys_version") or "0"
if account ~= "" and keys_version ~= "" and keys_version ~= in_force then return {"keys_changed"} end
if member ~= "" and member ~= maker then return {"not_found"} end
if known == version .. " " .. operation then return {"same"} end
return {"generation", {string.match(KEYS[1], ":generation:(.*)$"), redis.call("HGETALL", KEYS[1])}}
