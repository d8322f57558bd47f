#!lua flags=allow-oom
-- Take back what is left of one grant, because its payment was refunded or disputed: never more, never another's.
-- What open generations hold of it goes the same way if it comes back.
--
-- KEYS[1]  account
-- ARGV     1 operation, 2 grant, 3 how much at most, 4 "1" if all of it is taken back, 5 reason
-- Returns  {"not_found"} {"applied", how much was taken, view, {}}
-- Writes   account, journal, idempotency
--- @include "lib/keys" "lib/amounts" "lib/calendar" "lib/policy" "lib/journal" "lib/accounts" "lib/grants" "lib/cycles"
--- @include "lib/generations" "lib/promotion" "lib/operations"
local a, p = operations.open(ARGV[1])
if not a then return p end
local grant = grants.find(a, ARGV[2])
local taken = 0
if grant then
  local bucket = grant.bucket
  if ARGV[4] == "1" and grant.held > 0 and not grants.revoked(a, grant.id) then
    a.fields.revoked = a.fields.revoked and a.fields.revoked .. "," .. grant.id or grant.id
  end
  taken = grants.revoke(a, grant, tonumber(ARGV[3]))
  if taken > 0 then journal.add(a, a.now, "revoke", {[bucket] = {-taken, 0}}, nil, ARGV[5]) end
end
return operations.close(a, ARGV[1], amounts.text(taken), {}, 0)
