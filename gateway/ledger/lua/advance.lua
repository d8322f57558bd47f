#!lua
-- Move an account's clock forward (R22). It is a test account from then on, permanently.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"refused", "too_far", account's now} {"applied", "", view, {}}
-- Writes   account, journal, idempotency
--- @include "lib/amounts" "lib/steps" "lib/operations"
local
  operation, advance_ms,
  latest -- that the clock may show
  = unpack(ARGV)
local a, p = operations.open(operation)
if not a then return p end
if a.now + tonumber(advance_ms) > tonumber(latest) then return {"refused", "too_far", amounts.text(a.now)} end
a.fields.offset = amounts.text(tonumber(a.fields.offset or 0) + tonumber(advance_ms))
a.fields.test = "1"
a.now = math.max(a.now, a.real + tonumber(a.fields.offset))
steps.roll(a, p)
return operations.close(a, operation, "", {}, 0)
