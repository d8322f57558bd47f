#!lua
-- Set the thresholds for low-credit alerts in an account's journal.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"applied", "", view, {}}
-- Writes   account, journal, idempotency
--- @include "lib/alerts" "lib/operations"
local
  operation,
  thresholds -- in thousandths of the monthly allotment, "200,0", or "" for none
  = unpack(ARGV)
local a, p = operations.open(operation)
if not a then return p end
alerts.set(a, thresholds)
return operations.close(a, operation, "", {}, 0)
