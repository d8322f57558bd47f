#!lua
-- Put a purchase on its account's list, if it began before there was one.
--
-- KEYS[1]  account
-- ARGV     1 checkout
-- Returns  {"not_found"} {"listed", "1" now | "0" before}
-- Writes   the account's list of purchases
--- @include "lib/keys" "lib/checkouts"
local account = string.match(KEYS[1], ":account:(.*)$")
local c = checkouts.load(account, ARGV[1])
if not c then return {"not_found"} end
if redis.call("ZSCORE", keys.purchases(account), ARGV[1]) then return {"listed", "0"} end

checkouts.list(c)
return {"listed", "1"}
