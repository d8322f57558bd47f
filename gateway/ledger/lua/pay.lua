#!lua
-- A purchase is paid: grant its bundle or start its plan, once, however often it is reported (R4, R12). Refunds and
-- disputes that arrived earlier take back their share of the credits at once.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"declined", checkout} {"paid", "1" now | "0" before, checkout, view, dispatches}
-- Writes   checkout, account, journal; what promotions write
--- @include "lib/amounts" "lib/policy" "lib/journal" "lib/events" "lib/accounts" "lib/grants" "lib/steps"
--- @include "lib/promotion" "lib/subscriptions" "lib/checkouts" "lib/returns" "lib/cycles" "lib/worth"
local
  checkout,
  ref, -- the provider's own id of the payment
  dispatch_ms
  = unpack(ARGV)
local a = accounts.load(string.match(KEYS[1], ":account:(.*)$"))
local c = a and checkouts.load(a.id, checkout)
if not c then return {"not_found"} end
local f = c.fields
if f.status == "declined" then return {"declined", checkouts.reply(c)} end
local p = policy.load()
steps.roll(a, p)
if f.status == "paid" then return {"paid", "0", checkouts.reply(c), accounts.view(a), {}} end

local worth = make_worth()
f.status, f.ref, f.paid_at = "paid", ref, amounts.text(a.real)
if f.kind == "bundle" then
  local grant = grants.add(a, "t", "t", tonumber(f.credits), nil)
  worth.set(a, grant, worth.of_purchase(f.price, tonumber(f.credits)))
  f.grant, f.granted_at = grant.id, amounts.text(a.now)
  journal.add(a, a.now, "grant", {t = {grant.available, 0}}, nil, "bought " .. f.name)
  returns.settle(a, p, c)
  events.note(a, "top_up.paid", c.id, {
    checkout = c.id, bundle = f.what, name = f.name, credits = f.credits, price = f.price, currency = f.currency,
    available = amounts.text(a.available),
  })
else
  subscriptions.buy(a, p, f.what, f.interval, worth.of_purchase(f.price, f.credits * cycles.months(f.interval)))
end
local chosen = promotion.choose_all(a, p)
accounts.check(a)

accounts.save(a)
checkouts.save(c)
return {"paid", "1", checkouts.reply(c), accounts.view(a), promotion.write(a, chosen, tonumber(dispatch_ms))}
