#!lua flags=allow-oom
-- Merge a payment provider's facts about a subscription, and update the account to match all of them (R2, R3, R12):
-- the result does not depend on their order or repetition.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"refused", "too_many_lines"}
--          {"billed", view, dispatches, superseded subscriptions, plans that no card had}
-- Writes   billing, checkout, account, journal; what promotions write
--- @include "lib/amounts" "lib/policy" "lib/accounts" "lib/steps" "lib/promotion" "lib/checkouts" "lib/billing"
--- @include "lib/eras" "lib/facts" "lib/notes" "lib/cycle_records" "lib/renewals"
local
  subscription,
  checkout, -- its own
  said, -- JSON: `Billing`
  grace_ms, -- how long the plan waits for a payment
  dispatch_ms
  = unpack(ARGV)
local a = accounts.load(string.match(KEYS[1], ":account:(.*)$"))
if not a then return {"not_found"} end
local id, grace = subscription, tonumber(grace_ms)
said = cjson.decode(said)
local c, b, p = checkouts.load(a.id, checkout), billing.load(a.id), policy.load()
local bought = b.fields[id .. "|bought"]
if not bought and c and c.fields.kind == "plan" then bought = c.fields.what .. "," .. c.fields.interval end
if not bought then return {"not_found"} end
steps.roll(a, p)

billing.migrate(a, b)
facts.prune(b, a.now)
if not billing.merge(b, id, bought, said) then return {"refused", "too_many_lines"} end
facts.read(b)
local list = eras.all(b, p)
list.owing = policy.rule(p, "spent") == "debt"
local current = list[#list]
if current then
  renewals.apply(a, p, b, list, grace)
  renewals.settle(a, p, b, list, grace)
end
notes.lines(a, b, id)
if said.unpaid_invoice then notes.failure(a, b, id, said) end
steps.roll(a, p)
if current then
  renewals.settle(a, p, b, list, grace)
  cycle_records.write(b, list, a.now)
end
if c and c.fields.status ~= "paid" and #b.subs[id].lines > 0 then
  c.fields.status, c.fields.ref, c.fields.paid_at = "paid", id, amounts.text(a.real)
end
local superseded = current and eras.alive(current, a.now, grace) and eras.superseded(list) or {}
local unknown, seen = {}, said.plan
if seen and not policy.terms(p, seen) then b.unknown[seen] = true end
for plan in pairs(b.unknown) do unknown[#unknown + 1] = plan end
local chosen = promotion.choose_all(a, p)
accounts.check(a)

accounts.save(a)
billing.save(b)
if c then checkouts.save(c) end
return {"billed", accounts.view(a), promotion.write(a, chosen, tonumber(dispatch_ms)), superseded, unknown}
