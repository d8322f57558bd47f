#!lua flags=allow-oom
-- Store an account's customer id at the payment provider, so that it stays one customer there.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"customer", the stored one}
-- Writes   account, checkout
--- @include "lib/amounts" "lib/checkouts" "lib/archive"
local
  checkout, -- started with it, or ""
  customer,
  replace -- "1": also if another is stored
  = unpack(ARGV)
local id = string.match(KEYS[1], ":account:(.*)$")
if redis.call("EXISTS", KEYS[1]) == 0 then return {"not_found"} end
local c = checkout ~= "" and checkouts.load(id, checkout) or nil
local known = redis.call("HGET", KEYS[1], "customer")
if known and replace ~= "1" then customer = known end

if customer ~= known then
  redis.call("HSET", KEYS[1], "customer", customer)
  archive.mark(id, amounts.real_now())
end
if c then
  c.fields.customer = customer
  checkouts.save(c)
end
return {"customer", customer}
