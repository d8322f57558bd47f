#!lua
-- Make room for what a client token may spend. The same token added again keeps what it has spent.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"keys_changed"} {"added", when it expires}
-- Writes   token
--- @include "lib/keys" "lib/amounts"
local
  token,
  parent, -- the key that makes it
  keys_version, millicredits, lifetime_ms
  = unpack(ARGV)
local KEPT_MS = 60000 -- beyond its end: until then, an end is the token's and not a missing counter's
local created, version, listed =
  unpack(redis.call("HMGET", KEYS[1], "created_at", "keys_version", "key:" .. parent), 1, 3)
if not created then return {"not_found"} end
if keys_version ~= (version or "0") or not listed then return {"keys_changed"} end

local key = keys.token(string.match(KEYS[1], ":account:(.*)$"), token)
redis.call("HSET", key, "limit", millicredits)
redis.call("HSETNX", key, "spent", "0")
redis.call("PEXPIRE", key, amounts.text(tonumber(lifetime_ms) + KEPT_MS))
return {"added", amounts.text(amounts.real_now() + tonumber(lifetime_ms))}
