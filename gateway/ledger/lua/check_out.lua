#!lua
-- Start a purchase. It stays valid even if the subscription lapses before the payment (R4).
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"keys_changed"}
--          {"refused", "test_account" | "subscription_required" | "unknown_plan" | "already_subscribed"}
--          {"refused", "too_few_seats", seats and who would have to go}
--          {"checkout", checkout}
-- Writes   checkout, the account's list of purchases
--- @include "lib/amounts" "lib/policy" "lib/accounts" "lib/steps" "lib/subscriptions" "lib/checkouts" "lib/seats"
local
  checkout,
  keys_version, -- or "": do not check
  kind, -- "bundle" or "plan"
  what, -- its id
  interval, -- or ""
  name, credits, price, currency, provider,
  real_money, -- "1" if the provider charges it
  success_url, -- where to send a customer who has paid, or ""
  cancel_url -- where to send one who has not, or ""
  = unpack(ARGV)
local a = accounts.load(string.match(KEYS[1], ":account:(.*)$"))
if not a then return {"not_found"} end
if accounts.keys_changed(a, keys_version) then return {"keys_changed"} end
local known = checkouts.load(a.id, checkout)
if known then return {"checkout", checkouts.reply(known)} end
local p = policy.load()
steps.roll(a, p)
local f = a.fields
if real_money == "1" and f.test then return {"refused", "test_account"} end
if kind == "bundle" then
  if not f.plan then return {"refused", "subscription_required"} end
else
  if not subscriptions.on_sale(p, what, nil) then return {"refused", "unknown_plan"} end
  -- Paying for the current plan again would buy nothing. After a cancellation it buys the continuation.
  local same = f.plan == what and f.interval == interval
  if same and not f.cancelled_to and not f.scheduled then return {"refused", "already_subscribed"} end
  local gone = f.plan ~= what and seats.too_few(a, p, what)
  if gone then return {"refused", "too_few_seats", gone} end
end

-- The rolled state is not saved: the next script that spends or reads does that.
local c = {id = checkout, account = a.id, fields = {
  kind = kind, what = what, interval = interval, name = name, credits = credits, price = price,
  currency = currency, provider = provider, status = "open", created_at = amounts.text(a.real),
  customer = f.customer, success_url = success_url ~= "" and success_url or nil,
  cancel_url = cancel_url ~= "" and cancel_url or nil,
}}
checkouts.save(c)
checkouts.unlist_expired(a.id)
return {"checkout", checkouts.reply(c)}
