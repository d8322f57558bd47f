-- Starts a subscription or changes its plan: a new cycle, and what happens to the leftover credits (R2, R12).
--- @include "lib/keys" "lib/amounts" "lib/calendar" "lib/policy" "lib/journal" "lib/grants" "lib/cycles" "lib/steps"
local subscriptions = {}

-- Whether a plan can be chosen: it is on the card, or is the account's own, whose last terms stay in force.
function subscriptions.on_sale(p, plan, own)
  if not policy.terms(p, plan) then return false end
  return plan == own or redis.call("HEXISTS", keys.policy(), "sale:" .. plan) == 1
end

-- Leftover credits of the allotment keep their expiry or are dropped, as the card says. Its grant is not `monthly` now.
-- The expiry is over if the plan waits for the payment of its next cycle.
function subscriptions.leave(a, p)
  local old = a.fields.monthly and grants.find(a, a.fields.monthly)
  a.fields.monthly = nil
  if old and (policy.rule(p, "leftover") ~= "1" or old.expires <= a.now or (old.available == 0 and old.held == 0)) then
    local left = old.available
    grants.remove(a, old.id)
    if left > 0 then journal.add(a, a.now, "expire", {s = {-left, 0}}, nil, "left of " .. a.fields.plan) end
  end
end

-- Begin a plan at `anchor` (not in the future), with the current cycle's allotment. `paid`: what credits of its first
-- paid interval are worth; nil: as the card says.
function subscriptions.start(a, p, plan, interval, anchor, paid_through, paid)
  local f, was = a.fields, a.fields.plan
  subscriptions.leave(a, p)
  f.plan, f.interval, f.anchor = plan, interval, amounts.text(anchor)
  f.paid_through = paid_through and amounts.text(paid_through) or nil
  f.cancelled_to, f.scheduled, f.grace, f.billing, f.allotments, f.allotment_worths = nil, nil, nil, nil, nil, nil
  f.paid_worth, f.next_worth = nil, paid
  if was then journal.add(a, a.now, "change", {}, nil, was .. " to " .. plan .. " " .. interval) end
  steps.refresh(a, p, calendar.cycle(anchor, a.now), a.now)
end

-- A plan was paid for once: the same plan is extended; otherwise a new one begins (R12).
function subscriptions.buy(a, p, plan, interval, paid)
  local f = a.fields
  if f.plan ~= plan or f.interval ~= interval then
    return subscriptions.start(a, p, plan, interval, a.now, nil, paid)
  end
  f.next_worth = paid
  if f.paid_through then
    f.paid_through = amounts.text(calendar.add_months(tonumber(f.paid_through), cycles.months(interval)))
  end
  f.cancelled_to, f.scheduled = nil, nil
  journal.add(a, a.now, "change", {}, nil, plan .. " " .. interval .. " renewed")
end
