#!lua
-- Merge what a payment provider says of a subscription, and bring the account to what follows from all it ever said
-- (R2, R3, R12): the same account whatever the order, and however often each is said.
--
-- KEYS[1]  account
-- ARGV     1 subscription, 2 its checkout, 3 started at, 4 paid through, 5 seen at, 6 plan, 7 interval (as seen),
--          8 cancelled to (as seen), 9 ended at, 10 end of a period whose payment failed; each may be "";
--          11 how long the plan waits for a payment, 12 dispatch ms
-- Returns  {"not_found"} {"billed", view, dispatches, superseded subscriptions}
-- Writes   billing, checkout, account, journal; what promotions write
--- @include "lib/keys" "lib/amounts" "lib/calendar" "lib/zones" "lib/policy" "lib/journal" "lib/accounts" "lib/grants"
--- @include "lib/cycles" "lib/generations" "lib/promotion" "lib/subscriptions" "lib/checkouts" "lib/billing"
--- @include "lib/renewals"
local a = accounts.load(string.match(KEYS[1], ":account:(.*)$"))
if not a then return {"not_found"} end
local id, c, b, p = ARGV[1], checkouts.load(a.id, ARGV[2]), billing.load(a.id), policy.load()
local bought = b.fields[id .. "|bought"]
if not bought and c and c.fields.kind == "plan" then bought = c.fields.what .. "," .. c.fields.interval end
if not bought then return {"not_found"} end
cycles.roll(a, p)

local started, seen, failed, grace = tonumber(ARGV[3]), tonumber(ARGV[5]), tonumber(ARGV[10]), tonumber(ARGV[11])
b.fields[id .. "|bought"] = bought
billing.note(b, id, "started", started, math.min)
billing.note(b, id, "paid", tonumber(ARGV[4]), math.max)
billing.note(b, id, "ended", tonumber(ARGV[9]), math.min)
billing.note(b, id, "first|" .. bought, started, math.min)
if seen then
  if ARGV[6] ~= "" then billing.note_plan(b, id, ARGV[6], ARGV[7], seen) end
  billing.note_cancel(b, id, seen, tonumber(ARGV[8]))
end
local list = billing.segments(b)
local current = list[#list]
if current then renewals.apply(a, p, b, list, grace) end
if failed then renewals.note_failure(a, b, id, failed) end
cycles.roll(a, p)
if c and c.fields.status == "open" and b.fields[id .. "|paid"] then c.fields.status, c.fields.ref = "paid", id end
local superseded = current and billing.alive(current, a.now, grace) and billing.superseded(b, list) or {}
local chosen = promotion.choose_all(a, p)
accounts.check(a)

accounts.save(a)
billing.save(b)
if c then checkouts.save(c) end
return {"billed", accounts.view(a), promotion.write(a, chosen, tonumber(ARGV[12])), superseded}
