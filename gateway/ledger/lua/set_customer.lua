#!lua flags=allow-oom
-- Remember which customer of the payment provider an account is, so that one person is one customer there.
--
-- KEYS[1]  account
-- ARGV     1 checkout that is begun with it, or "", 2 customer, 3 "1": also where another is known
-- Returns  {"not_found"} {"customer", the one that is remembered}
-- Writes   account, checkout
--- @include "lib/checkouts"
local id = string.match(KEYS[1], ":account:(.*)$")
if redis.call("EXISTS", KEYS[1]) == 0 then return {"not_found"} end
local c = ARGV[1] ~= "" and checkouts.load(id, ARGV[1]) or nil
local known = redis.call("HGET", KEYS[1], "customer")
local customer = ARGV[3] ~= "1" and known or ARGV[2]

if customer ~= known then redis.call("HSET", KEYS[1], "customer", customer) end
if c then
  c.fields.customer = customer
  checkouts.save(c)
end
return {"customer", customer}
