#!lua
-- Undo a cancellation or a scheduled change before it takes effect (R3, R12).
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"refused", "no_subscription", account's now} {"applied", "", view, {}}
-- Writes   account, journal, idempotency
--- @include "lib/amounts" "lib/journal" "lib/operations"
local operation = unpack(ARGV)
local a, p = operations.open(operation)
if not a then return p end
local f = a.fields
if not f.plan then return {"refused", "no_subscription", amounts.text(a.now)} end
if f.cancelled_to or f.scheduled then
  f.cancelled_to, f.scheduled = nil, nil
  journal.add(a, a.now, "change", {}, nil, f.plan .. " resumed")
end
return operations.close(a, operation, "", {}, 0)
