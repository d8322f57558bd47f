#!lua flags=no-writes
-- Read a purchase for its own account.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"keys_changed"} {"purchase", checkout, cents refunded of a plan}
-- Writes   nothing
--- @include "lib/keys" "lib/amounts" "lib/checkouts"
local
  keys_version, -- or "": do not check
  checkout
  = unpack(ARGV)
local account = string.match(KEYS[1], ":account:(.*)$")
local version = redis.call("HMGET", KEYS[1], "created_at", "keys_version")
if not version[1] then return {"not_found"} end
if keys_version ~= "" and keys_version ~= (version[2] or "0") then return {"keys_changed"} end
local c = checkouts.load(account, checkout)
if not c then return {"not_found"} end
local billing = c.fields.kind == "plan" and redis.call("HGETALL", keys.billing(account)) or {}
return {"purchase", checkouts.reply(c), amounts.text(checkouts.returned(c, billing))}
