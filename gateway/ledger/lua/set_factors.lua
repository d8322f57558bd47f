#!lua
-- Set what an account pays of the prices on the rate card.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"applied", "", view, {}}
-- Writes   account, journal, idempotency
--- @include "lib/operations"
local
  operation,
  factors -- "video:0.9,*:0.95", by name, or "" for none
  = unpack(ARGV)
local a, p = operations.open(operation)
if not a then return p end
a.fields.factors = factors ~= "" and factors or nil
return operations.close(a, operation, "", {}, 0)
