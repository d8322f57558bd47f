#!lua
-- Change what a key of an account may spend and what it is bound to, or its label. New bounds take effect at once: the
-- new keys version invalidates every gateway's cache.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"keys_changed"} {"refused", "forbidden", ""} {"changed", account}
-- Writes   account
--- @include "lib/amounts" "lib/accounts" "lib/policy" "lib/steps" "lib/members"
local
  key_id,
  limit, -- millicredits,period; "none"; or "": as it is
  label, -- or "": as it is
  bounds, -- JSON: those that change (null: removed); or ""
  keys_version, -- or "": do not check
  by -- the member who changes it; "": an operator
  = unpack(ARGV)
local a = accounts.load(string.match(KEYS[1], ":account:(.*)$"))
if a and accounts.keys_changed(a, keys_version) then return {"keys_changed"} end
local known = a and a.fields["key:" .. key_id]
if not known then return {"not_found"} end
if not members.may_change_key(a, by, key_id) then return {"refused", "forbidden", ""} end
if label ~= "" then a.fields["key:" .. key_id] = string.match(known, "^%d+,") .. label end
if limit ~= "" then
  a.fields["limit:" .. (a.fields["succeeds:" .. key_id] or key_id)] = limit ~= "none" and limit or nil
end
if bounds ~= "" then
  local kept = cjson.decode(a.fields["bound:" .. key_id] or "{}")
  for name, value in pairs(cjson.decode(bounds)) do kept[name] = value ~= cjson.null and value or nil end
  a.fields["bound:" .. key_id] = next(kept) and cjson.encode(kept) or nil
  a.fields.keys_version = amounts.text(accounts.count(a, "keys_version") + 1)
end
steps.roll(a, policy.load(a.fields.plan))
accounts.check(a)

accounts.save(a)
return {"changed", accounts.view(a)}
