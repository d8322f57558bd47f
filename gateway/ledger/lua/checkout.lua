#!lua flags=no-writes
-- Read a purchase.
--
-- KEYS[1]  account
-- ARGV     1 checkout
-- Returns  {"not_found"} {"checkout", checkout}
-- Writes   nothing
--- @include "lib/checkouts"
local c = checkouts.load(string.match(KEYS[1], ":account:(.*)$"), ARGV[1])
return c and {"checkout", checkouts.reply(c)} or {"not_found"}
