#!lua
-- Start or renew a subscription, or change its plan immediately (R2, R3, R12).
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"refused", "unknown_plan" | "starts_in_future" | "paid_through_past", account's now}
--          {"refused", "too_few_seats", seats and who would have to go} {"applied", "", view, dispatches}
-- Writes   account, journal, idempotency; what promotions write
--- @include "lib/amounts" "lib/zones" "lib/journal" "lib/steps" "lib/promotion" "lib/operations" "lib/subscriptions"
--- @include "lib/seats"
local
  operation, plan, interval,
  started_at, -- or ""
  paid_through, -- or ""
  dispatch_ms
  = unpack(ARGV)
local a, p = operations.open(operation)
if not a then return p end
started_at, paid_through = tonumber(started_at), tonumber(paid_through)
local f, now = a.fields, amounts.text(a.now)
if not subscriptions.on_sale(p, plan, f.plan) then return {"refused", "unknown_plan", now} end
if started_at and started_at > a.now then return {"refused", "starts_in_future", now} end
if paid_through and paid_through <= a.now then return {"refused", "paid_through_past", now} end
local gone = plan ~= f.plan and seats.too_few(a, p, plan)
if gone then return {"refused", "too_few_seats", gone} end

if f.plan == plan and (not started_at or started_at == tonumber(f.anchor)) then
  -- A renewal grants no credits. It undoes a cancellation, because the plan was paid for or renewed on purpose.
  local paid = paid_through and amounts.text(paid_through) or nil
  if f.interval ~= interval or f.paid_through ~= paid or f.cancelled_to then
    if f.interval ~= interval then f.paid_worth = nil end
    f.interval, f.paid_through, f.cancelled_to = interval, paid, nil
    local until_when = paid and "paid through " .. zones.day("0,0", paid_through) or "until cancelled"
    journal.add(a, a.now, "change", {}, nil, plan .. " " .. interval .. " renewed, " .. until_when)
    steps.roll(a, p) -- it may have waited for a payment, and so did its next cycle
  end
else
  subscriptions.start(a, p, plan, interval, started_at or a.now, paid_through)
end
return operations.close(a, operation, "", promotion.choose_all(a, p), tonumber(dispatch_ms))
