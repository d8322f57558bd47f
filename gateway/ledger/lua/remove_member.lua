#!lua flags=allow-oom
-- Remove a member (R25): their keys are revoked at once, what they made keeps their name, and what they have open ends
-- as it would have.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"keys_changed"} {"refused", "forbidden" | "owner_stays", ""}
--          {"removed", account, key…}: the keys that were revoked
-- Writes   account; journal: only what rolling forward changed
--- @include "lib/members"
local
  keys_version, -- or "": do not check
  by, -- the member who removes it; "": an operator
  member
  = unpack(ARGV)
local a, refusal = members.open(keys_version)
if not a then return refusal end
local known = members.current(a, member)
if not known then return {"not_found"} end
if not members.may(a, by, known) then return {"refused", "forbidden", ""} end
if known.role == "owner" and #members.all(a) > 1 then return {"refused", "owner_stays", ""} end

local f, revoked = a.fields, {}
for field, of in pairs(f) do
  local key = of == member and string.match(field, "^of:(.*)$")
  if key then revoked[#revoked + 1] = key end
end
for _, key in ipairs(revoked) do
  local purse = f["succeeds:" .. key] or key
  for _, name in ipairs({"key:", "of:", "used:", "bound:", "succeeds:", "rotated:"}) do f[name .. key] = nil end
  f["limit:" .. purse], f["counted:" .. purse] = nil, nil
end
f["limit:" .. member], f["counted:" .. member], f["email:" .. member] = nil, nil, nil
f["person:" .. member] = nil
known.removed = a.real
members.put(a, known)
local reply = {"removed", members.close(a, true)[2]}
for _, key in ipairs(revoked) do reply[#reply + 1] = key end
return reply
