#!lua
-- Add a member to an account (R25). The first one is its owner.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"keys_changed"} {"changed", account}: also if this member was added before
--          {"refused", "forbidden" | "needs_owner" | "has_owner" | "email_taken" | "no_seat" | "too_many_members", …}
-- Writes   account; journal: only what rolling forward changed
--- @include "lib/members" "lib/seats"
local
  keys_version, -- or "": do not check
  by, -- the member who adds it; "": an operator
  member, name,
  email, -- or ""
  role, -- or "": the owner if it is the first, else a member
  limit -- millicredits,period, or ""
  = unpack(ARGV)
local a, p = members.open(keys_version)
if not a then return p end
local owner = members.owner(a)
if role == "" then role = owner and "member" or "owner" end
if not members.find(a, member) then
  if not members.may(a, by, {role = role}) then return {"refused", "forbidden", ""} end
  if not owner and role ~= "owner" then return {"refused", "needs_owner", ""} end
  if owner and role == "owner" then return {"refused", "has_owner", owner.id} end
  local other = email ~= "" and members.email_taken(a, email, member)
  if other then return {"refused", "email_taken", other} end
  local plan, most = seats.lacking(a, p)
  if plan then return {"refused", "no_seat", plan .. " " .. most} end
  if not members.make_room(a) then return {"refused", "too_many_members", ""} end
  members.put(a, {id = member, created = members.arrival(a), role = role, name = name})
  if email ~= "" then a.fields["email:" .. member] = email end
  if limit ~= "" then a.fields["limit:" .. member] = limit end
end
return members.close(a)
