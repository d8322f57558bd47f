#!lua
-- Move an account's clock forward (R22). It is a test account from then on, for ever.
--
-- KEYS[1]  account
-- ARGV     1 operation, 2 milliseconds, 3 the latest time that the clock may show
-- Returns  {"not_found"} {"refused", "too_far", account's now} {"applied", "", view, {}}
-- Writes   account, journal, idempotency
--- @include "lib/amounts" "lib/steps" "lib/operations"
local a, p = operations.open(ARGV[1])
if not a then return p end
if a.now + tonumber(ARGV[2]) > tonumber(ARGV[3]) then return {"refused", "too_far", amounts.text(a.now)} end
a.fields.offset = amounts.text(tonumber(a.fields.offset or 0) + tonumber(ARGV[2]))
a.fields.test = "1"
a.now = math.max(a.now, a.real + tonumber(a.fields.offset))
steps.roll(a, p)
return operations.close(a, ARGV[1], "", {}, 0)
