#!lua
-- Begin a purchase: from here on it is honoured, even if the subscription lapses before it is paid (R4).
--
-- KEYS[1]  account
-- ARGV     1 checkout, 2 keys version or "", 3 "bundle" or "plan", 4 which one, 5 interval or "", 6 name, 7 credits,
--          8 price, 9 currency, 10 provider, 11 "1" if it takes real money, 12 where a customer who paid goes or "",
--          13 where one who did not goes or ""
-- Returns  {"not_found"} {"keys_changed"}
--          {"refused", "test_account" | "subscription_required" | "unknown_plan" | "already_subscribed"}
--          {"checkout", checkout}
-- Writes   checkout, the account's list of purchases
--- @include "lib/amounts" "lib/policy" "lib/accounts" "lib/steps" "lib/subscriptions" "lib/checkouts"
local a = accounts.load(string.match(KEYS[1], ":account:(.*)$"))
if not a then return {"not_found"} end
if accounts.keys_changed(a, ARGV[2]) then return {"keys_changed"} end
local known = checkouts.load(a.id, ARGV[1])
if known then return {"checkout", checkouts.reply(known)} end
local p = policy.load()
steps.roll(a, p)
local f, what, interval = a.fields, ARGV[4], ARGV[5]
if ARGV[11] == "1" and f.test then return {"refused", "test_account"} end
if ARGV[3] == "bundle" then
  if not f.plan then return {"refused", "subscription_required"} end
else
  if not subscriptions.on_sale(p, what, nil) then return {"refused", "unknown_plan"} end
  -- Money for what the account has already would buy nothing. After a cancellation it buys that it goes on.
  local same = f.plan == what and f.interval == interval
  if same and not f.cancelled_to and not f.scheduled then return {"refused", "already_subscribed"} end
end

-- The roll is not written: whatever spends or asks next does it.
local c = {id = ARGV[1], account = a.id, fields = {
  kind = ARGV[3], what = what, interval = interval, name = ARGV[6], credits = ARGV[7], price = ARGV[8],
  currency = ARGV[9], provider = ARGV[10], status = "open", created_at = amounts.text(a.real),
  customer = f.customer, success_url = ARGV[12] ~= "" and ARGV[12] or nil,
  cancel_url = ARGV[13] ~= "" and ARGV[13] or nil,
}}
checkouts.save(c)
checkouts.unlist_expired(a.id)
return {"checkout", checkouts.reply(c)}
