#!lua
-- Move a subscription to another plan or interval: now, or at the end of the paid period (R12).
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"refused", "no_subscription" | "unknown_plan", account's now}
--          {"refused", "too_few_seats", seats and who would have to go}
--          {"applied", "", view, dispatches}
-- Writes   account, journal, idempotency; what promotions write
--- @include "lib/amounts" "lib/calendar" "lib/zones" "lib/journal" "lib/cycles" "lib/promotion" "lib/operations"
--- @include "lib/subscriptions" "lib/seats"
local
  operation, plan,
  interval, -- or "": unchanged
  when, -- "now" or "period_end"
  dispatch_ms
  = unpack(ARGV)
local a, p = operations.open(operation)
if not a then return p end
local f = a.fields
if not f.plan then return {"refused", "no_subscription", amounts.text(a.now)} end
if not subscriptions.on_sale(p, plan, f.plan) then return {"refused", "unknown_plan", amounts.text(a.now)} end
if interval == "" then interval = f.interval end
local gone = plan ~= f.plan and seats.too_few(a, p, plan)
if gone then return {"refused", "too_few_seats", gone} end

if plan == f.plan and interval == f.interval then
  -- Choosing the current plan is not a change: it only cancels a scheduled one.
  if f.scheduled then
    f.scheduled = nil
    journal.add(a, a.now, "change", {}, nil, "stays on " .. plan .. " " .. interval)
  end
elseif when == "now" then
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
return operations.close(a, operation, "", promotion.choose_all(a, p), tonumber(dispatch_ms))
