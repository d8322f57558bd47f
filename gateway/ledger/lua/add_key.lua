#!lua
-- Add a key to an account's own list, which decides what a key may do.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"keys_changed"} {"added", created at}
--          {"refused", "forbidden" | "unknown_member", ""}
-- Writes   account
--- @include "lib/amounts" "lib/accounts" "lib/members" "lib/archive"
local
  key_id, label,
  limit, -- millicredits,period, or ""
  bounds, -- JSON, or ""
  member, -- whose key it is; "": the account's own
  keys_version, -- or "": do not check
  by -- the member who adds it; "": an operator
  = unpack(ARGV)
local a = accounts.load(string.match(KEYS[1], ":account:(.*)$"))
if not a then return {"not_found"} end
if accounts.keys_changed(a, keys_version) then return {"keys_changed"} end
local whose = members.current(a, member)
if member ~= "" and not whose then return {"refused", "unknown_member", ""} end
if not members.may_use(a, by, whose) then return {"refused", "forbidden", ""} end
local known = a.fields["key:" .. key_id]
local now = known and string.match(known, "^(%d+),") or amounts.text(a.real)
redis.call("HSET", KEYS[1], "key:" .. key_id, now .. "," .. label)
if limit ~= "" then redis.call("HSET", KEYS[1], "limit:" .. key_id, limit) end
if bounds ~= "" then redis.call("HSET", KEYS[1], "bound:" .. key_id, bounds) end
if member ~= "" then redis.call("HSET", KEYS[1], "of:" .. key_id, member) end
archive.mark(a.id, a.real)
return {"added", now}
