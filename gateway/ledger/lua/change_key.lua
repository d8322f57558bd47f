#!lua
-- Change what a key of an account may spend, or its label.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"changed", account}
-- Writes   account
--- @include "lib/accounts" "lib/policy" "lib/steps"
local
  key_id,
  limit, -- millicredits,period; "none"; or "": as it is
  label -- or "": as it is
  = unpack(ARGV)
local a = accounts.load(string.match(KEYS[1], ":account:(.*)$"))
local known = a and a.fields["key:" .. key_id]
if not known then return {"not_found"} end
if label ~= "" then a.fields["key:" .. key_id] = string.match(known, "^%d+,") .. label end
if limit ~= "" then a.fields["limit:" .. key_id] = limit ~= "none" and limit or nil end
steps.roll(a, policy.load(a.fields.plan))
accounts.check(a)

accounts.save(a)
return {"changed", accounts.view(a)}
