#!lua
-- Decide whom a person of an OpenID provider signs in as, and remember it: by the provider's own id of them, which
-- never changes; else by their email, unless somebody else of that provider has signed in with it before.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"refused", "nobody" | "taken"} {"signs_in", member or "": the account itself}
-- Writes   account
--- @include "lib/accounts" "lib/members" "lib/archive"
local
  person, -- <provider>.<person>, digests of both
  by_email -- the member with their email; "account": the account has it; "": nobody
  = unpack(ARGV)
local a = accounts.load(string.match(KEYS[1], ":account:(.*)$"))
if not a then return {"not_found"} end
local current = members.all(a)
if #current == 0 and a.fields.person == person then return {"signs_in", ""} end
for _, member in ipairs(current) do
  if a.fields["person:" .. member.id] == person then return {"signs_in", member.id} end
end

local whose = by_email == "account" and #current == 0 and "" or members.current(a, by_email) and by_email
if not whose then return {"refused", "nobody"} end
local field = whose == "" and "person" or "person:" .. whose
local known = a.fields[field]
if known and string.match(known, "^%x+") == string.match(person, "^%x+") then return {"refused", "taken"} end

redis.call("HSET", KEYS[1], field, person)
archive.mark(a.id, a.real)
return {"signs_in", whose}
