#!lua
-- Correct a bucket by a signed amount, with a reason; never below zero available, never from held credits (R24).
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"refused", "no_subscription" | "too_much" | "too_many_grants" | "not_available",
--          available in the bucket}
--          {"applied", grant or "", view, {}}
-- Writes   account, journal, idempotency
--- @include "lib/amounts" "lib/journal" "lib/grants" "lib/holds" "lib/cycles" "lib/operations"
local
  operation,
  bucket, -- its letter
  amount, -- signed
  reason, available_max
  = unpack(ARGV)
local a, p = operations.open(operation)
if not a then return p end
amount = tonumber(amount)
local available, note = 0, ""
for _, grant in ipairs(a.grants) do
  if grant.bucket == bucket then available = available + grant.available end
end
local deltas = {[bucket] = {amount, 0}}
if amount > 0 then
  if bucket == "s" and not a.fields.plan then return {"refused", "no_subscription", amounts.text(available)} end
  if a.available + a.held + amount > tonumber(available_max) then
    return {"refused", "too_much", amounts.text(available)}
  end
  if grants.too_many(a) then return {"refused", "too_many_grants", amounts.text(available)} end
  -- The bucket's current expiry: expiring credits never become permanent.
  local expires = bucket == "f" and a.resets_at or bucket == "s" and cycles.bucket_ends(a) or nil
  note = grants.add(a, "o", bucket, amount, expires).id
else
  local allocation = holds.allocate(a, -amount, bucket)
  if not allocation then return {"refused", "not_available", amounts.text(available)} end
  deltas = holds.take(a, allocation, false)
end
journal.add(a, a.now, "adjust", deltas, nil, reason)
return operations.close(a, operation, note, {}, 0)
