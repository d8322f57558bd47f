#!lua
-- Make another member the owner of an account; who was it becomes an admin (R25).
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"keys_changed"} {"changed", account}: also if it is the owner already
--          {"refused", "forbidden", ""}
-- Writes   account; journal: only what rolling forward changed
--- @include "lib/members"
local
  keys_version, -- or "": do not check
  by, -- the owner; "": an operator
  member
  = unpack(ARGV)
local a, refusal = members.open(keys_version)
if not a then return refusal end
local next_owner = members.current(a, member)
if not next_owner then return {"not_found"} end
local owner = members.owner(a)
if by ~= "" and by ~= owner.id then return {"refused", "forbidden", ""} end

if owner.id == member then return members.close(a) end
owner.role, next_owner.role = "admin", "owner"
members.put(a, owner)
members.put(a, next_owner)
return members.close(a, true)
