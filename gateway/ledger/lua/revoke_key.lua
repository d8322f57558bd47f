#!lua flags=allow-oom
-- Remove a key from an account's list. The new keys version invalidates every gateway's cache at once.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"keys_changed"} {"refused", "forbidden", ""} {"revoked"}
-- Writes   account
--- @include "lib/accounts" "lib/members" "lib/archive"
local
  key_id,
  keys_version, -- or "": do not check
  by -- the member who revokes it; "": an operator
  = unpack(ARGV)
local a = accounts.load(string.match(KEYS[1], ":account:(.*)$"))
if a and accounts.keys_changed(a, keys_version) then return {"keys_changed"} end
if not a or not a.fields["key:" .. key_id] then return {"not_found"} end
if not members.may_change_key(a, by, key_id) then return {"refused", "forbidden", ""} end
-- The limit and what was spent of it stay for as long as there is a predecessor or a successor.
local purse = a.fields["succeeds:" .. key_id] or key_id
local shared = false
for name in pairs(a.fields) do
  local other = string.match(name, "^key:(.*)$")
  if other and other ~= key_id then shared = shared or (a.fields["succeeds:" .. other] or other) == purse end
end

for _, name in ipairs({"key:", "of:", "used:", "bound:", "succeeds:", "rotated:"}) do
  redis.call("HDEL", KEYS[1], name .. key_id)
end
if not shared then redis.call("HDEL", KEYS[1], "limit:" .. purse, "counted:" .. purse) end
redis.call("HINCRBY", KEYS[1], "keys_version", 1)
archive.mark(a.id, a.real)
return {"revoked"}
