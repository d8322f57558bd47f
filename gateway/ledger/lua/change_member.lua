#!lua
-- Change a member's name, email, role or limit (R25). A new role takes effect at once: the new keys version invalidates
-- every gateway's cache.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"keys_changed"} {"changed", account}
--          {"refused", "forbidden" | "needs_owner" | "has_owner" | "email_taken", whose}
-- Writes   account; journal: only what rolling forward changed
--- @include "lib/members"
local
  keys_version, -- or "": do not check
  by, -- the member who changes it; "": an operator
  member,
  name, -- or "": as it is
  email, -- "none"; or "": as it is
  role, -- or "": as it is
  limit -- millicredits,period; "none"; or "": as it is
  = unpack(ARGV)
local a, refusal = members.open(keys_version)
if not a then return refusal end
local known = members.current(a, member)
if not known then return {"not_found"} end
-- Everybody with access to this call may change their own name and address, but not what limits them.
local own = by == member and role == "" and limit == ""
local promoted = role == "" or members.may(a, by, {role = role})
if not own and not (promoted and members.may(a, by, known)) then return {"refused", "forbidden", ""} end
if role == "owner" then return {"refused", "has_owner", members.owner(a).id} end
if known.role == "owner" and role ~= "" then return {"refused", "needs_owner", member} end
local other = email ~= "" and email ~= "none" and members.email_taken(a, email, member)
if other then return {"refused", "email_taken", other} end

local changed = role ~= "" and role ~= known.role
if name ~= "" then known.name = name end
if changed then known.role = role end
members.put(a, known)
local address = email ~= "none" and email or nil
if email ~= "" and address ~= a.fields["email:" .. member] then
  a.fields["email:" .. member], a.fields["person:" .. member] = address, nil -- who has it now may be somebody else
end
if limit ~= "" then a.fields["limit:" .. member] = limit ~= "none" and limit or nil end
return members.close(a, changed)
