#!lua
-- Correct a bucket by a signed amount, with a reason; never below zero available, never from held credits (R24).
--
-- KEYS[1]  account
-- ARGV     1 operation, 2 bucket letter, 3 signed amount, 4 reason, 5 most that may be available
-- Returns  {"not_found"} {"refused", "no_subscription" | "too_much" | "too_many_grants" | "not_available",
--          available in the bucket}
--          {"applied", grant or "", view, {}}
-- Writes   account, journal, idempotency
--- @include "lib/amounts" "lib/journal" "lib/grants" "lib/holds" "lib/cycles" "lib/operations"
local a, p = operations.open(ARGV[1])
if not a then return p end
local bucket, amount = ARGV[2], tonumber(ARGV[3])
local available, note = 0, ""
for _, grant in ipairs(a.grants) do
  if grant.bucket == bucket then available = available + grant.available end
end
local deltas = {[bucket] = {amount, 0}}
if amount > 0 then
  if bucket == "s" and not a.fields.plan then return {"refused", "no_subscription", amounts.text(available)} end
  if a.available + a.held + amount > tonumber(ARGV[5]) then return {"refused", "too_much", amounts.text(available)} end
  if grants.too_many(a) then return {"refused", "too_many_grants", amounts.text(available)} end
  -- The bucket's current expiry: an expiring credit never turns into a lasting one.
  local expires = bucket == "f" and a.resets_at or bucket == "s" and cycles.bucket_ends(a) or nil
  note = grants.add(a, "o", bucket, amount, expires).id
else
  local allocation = holds.allocate(a, -amount, bucket)
  if not allocation then return {"refused", "not_available", amounts.text(available)} end
  deltas = holds.take(a, allocation, false)
end
journal.add(a, a.now, "adjust", deltas, nil, ARGV[4])
return operations.close(a, ARGV[1], note, {}, 0)
