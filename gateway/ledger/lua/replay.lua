#!lua flags=no-writes
-- Look up what an idempotency key created, before a request is refused for another reason (R11).
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"keys_changed"} {"new"} {"key_reused"} {"replayed", generation}
-- Writes   nothing
--- @include "lib/keys" "lib/generations"
local
  keys_version, -- or "": do not check
  key_digest, request_digest
  = unpack(ARGV)
local account = string.match(KEYS[1], ":account:(.*)$")
local values = redis.call("HMGET", KEYS[1], "created_at", "keys_version")
if not values[1] then return {"not_found"} end
if keys_version ~= "" and keys_version ~= (values[2] or "0") then return {"keys_changed"} end
local remembered = redis.call("GET", keys.idempotency(account, key_digest))
if not remembered then return {"new"} end
local digest, made = string.match(remembered, "^(%S+) generation (%S+)$")
if digest ~= request_digest then return {"key_reused"} end
return {"replayed", generations.reply(made)}
