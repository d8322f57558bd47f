#!lua
-- Add a purchase to its account's list, if it was started before the list existed.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"listed", "1" now | "0" before}
-- Writes   the account's list of purchases
--- @include "lib/keys" "lib/checkouts"
local checkout = unpack(ARGV)
local account = string.match(KEYS[1], ":account:(.*)$")
local c = checkouts.load(account, checkout)
if not c then return {"not_found"} end
if redis.call("ZSCORE", keys.purchases(account), checkout) then return {"listed", "0"} end

checkouts.list(c)
return {"listed", "1"}
