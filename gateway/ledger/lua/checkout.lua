#!lua flags=no-writes
-- Read a purchase.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"checkout", checkout}
-- Writes   nothing
--- @include "lib/checkouts"
local checkout = unpack(ARGV)
local c = checkouts.load(string.match(KEYS[1], ":account:(.*)$"), checkout)
return c and {"checkout", checkouts.reply(c)} or {"not_found"}
