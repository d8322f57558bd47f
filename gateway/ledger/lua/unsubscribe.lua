#!lua flags=allow-oom
-- Cancel a subscription at the end of its paid period; until then it can be resumed (R3).
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"refused", "no_subscription", account's now} {"applied", "", view, {}}
-- Writes   account, journal, idempotency
--- @include "lib/amounts" "lib/zones" "lib/journal" "lib/cycles" "lib/steps" "lib/operations"
local
  operation,
  when -- "period_end" or "now"
  = unpack(ARGV)
local a, p = operations.open(operation)
if not a then return p end
local f = a.fields
if not f.plan then return {"refused", "no_subscription", amounts.text(a.now)} end
local at = when == "now" and a.now or cycles.period_end(a)
if not f.cancelled_to or tonumber(f.cancelled_to) > at then
  f.cancelled_to, f.scheduled = amounts.text(at), nil
  journal.add(a, a.now, "change", {}, nil, f.plan .. " cancelled, ends " .. zones.day("0,0", at))
  steps.roll(a, p)
end
return operations.close(a, operation, "", {}, 0)
