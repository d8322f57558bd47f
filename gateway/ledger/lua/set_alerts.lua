#!lua
-- Set the thresholds at which an account's history says that its credits run low.
--
-- KEYS[1]  account
-- ARGV     1 operation, 2 thresholds in thousandths of the monthly allotment, "200,0", or "" for none
-- Returns  {"not_found"} {"applied", "", view, {}}
-- Writes   account, journal, idempotency
--- @include "lib/alerts" "lib/operations"
local a, p = operations.open(ARGV[1])
if not a then return p end
alerts.set(a, ARGV[2])
return operations.close(a, ARGV[1], "", {}, 0)
