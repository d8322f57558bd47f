#!lua
-- Start or renew a subscription, or move it to another plan now (R2, R3, R12).
--
-- KEYS[1]  account
-- ARGV     1 operation, 2 plan, 3 interval, 4 started at or "", 5 paid through or "", 6 dispatch ms
-- Returns  {"not_found"} {"refused", "unknown_plan" | "starts_in_future" | "paid_through_past", account's now}
--          {"applied", "", view, dispatches}
-- Writes   account, journal, idempotency; what promotions write
--- @include "lib/keys" "lib/amounts" "lib/calendar" "lib/policy" "lib/journal" "lib/accounts" "lib/grants" "lib/cycles"
--- @include "lib/generations" "lib/promotion" "lib/operations"
local a, p = operations.open(ARGV[1])
if not a then return p end
local plan, interval, started_at, paid_through = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local f, now = a.fields, amounts.text(a.now)
local withdrawn = redis.call("HEXISTS", keys.policy(), "sale:" .. plan) == 0
if not policy.terms(p, plan) or (withdrawn and f.plan ~= plan) then return {"refused", "unknown_plan", now} end
if started_at and started_at > a.now then return {"refused", "starts_in_future", now} end
if paid_through and paid_through <= a.now then return {"refused", "paid_through_past", now} end

local renews = f.plan == plan and (not started_at or started_at == tonumber(f.anchor))
local was = f.plan
f.interval, f.cancelled_to, f.scheduled = interval, nil, nil
f.paid_through = paid_through and amounts.text(paid_through) or nil
if renews then
  local until_when = paid_through and "paid through " .. calendar.day("0,0", paid_through) or "until cancelled"
  journal.add(a, a.now, "change", {}, nil, plan .. " " .. interval .. " renewed, " .. until_when)
else
  -- What an upgrade leaves keeps its old expiry, or goes, as the card says; either way it is no longer "the" allotment.
  local old = f.monthly and grants.find(a, f.monthly)
  f.plan, f.anchor, f.monthly = plan, amounts.text(started_at or a.now), nil
  if old and (not p.keep_leftover or (old.available == 0 and old.held == 0)) then
    local left = old.available
    grants.remove(a, old.id)
    if left > 0 then journal.add(a, a.now, "expire", {s = {-left, 0}}, nil, "left of " .. was) end
  end
  if was then journal.add(a, a.now, "change", {}, nil, was .. " to " .. plan .. " " .. interval) end
  cycles.refresh(a, p, calendar.cycle(tonumber(f.anchor), a.now), a.now)
end
return operations.close(a, ARGV[1], "", promotion.choose_all(a, p), tonumber(ARGV[6]))
