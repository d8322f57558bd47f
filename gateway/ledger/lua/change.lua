#!lua
-- Move a subscription to another plan or interval: now, or at the end of the paid period (R12).
--
-- KEYS[1]  account
-- ARGV     1 operation, 2 plan, 3 interval or "" (as it is), 4 "now" or "period_end", 5 dispatch ms
-- Returns  {"not_found"} {"refused", "no_subscription" | "unknown_plan", account's now}
--          {"applied", "", view, dispatches}
-- Writes   account, journal, idempotency; what promotions write
--- @include "lib/amounts" "lib/calendar" "lib/zones" "lib/journal" "lib/cycles" "lib/promotion" "lib/operations"
--- @include "lib/subscriptions"
local a, p = operations.open(ARGV[1])
if not a then return p end
local f, plan, dispatch_ms = a.fields, ARGV[2], tonumber(ARGV[5])
if not f.plan then return {"refused", "no_subscription", amounts.text(a.now)} end
if not subscriptions.on_sale(p, plan, f.plan) then return {"refused", "unknown_plan", amounts.text(a.now)} end
local interval = ARGV[3] ~= "" and ARGV[3] or f.interval

if plan == f.plan and interval == f.interval then
  -- Staying is no change: it only takes back what was scheduled.
  if f.scheduled then
    f.scheduled = nil
    journal.add(a, a.now, "change", {}, nil, "stays on " .. plan .. " " .. interval)
  end
elseif ARGV[4] == "now" then
  local paid = f.paid_through and calendar.add_months(a.now, cycles.months(interval))
  subscriptions.start(a, p, plan, interval, a.now, paid)
else
  local at = cycles.period_end(a)
  local scheduled = plan .. "," .. interval .. "," .. amounts.text(at)
  if f.scheduled ~= scheduled then
    f.scheduled, f.cancelled_to = scheduled, nil
    journal.add(a, a.now, "change", {}, nil, plan .. " " .. interval .. " from " .. zones.day("0,0", at))
  end
end
return operations.close(a, ARGV[1], "", promotion.choose_all(a, p), dispatch_ms)
