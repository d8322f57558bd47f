#!lua flags=allow-oom
-- The money for a bundle went back, all or part of it, or is disputed: take back what is left of its own grant. Before
-- the payment is known this is remembered. `part` of `whole` is all that went back so far, so events add up to the
-- largest of them, in any order.
--
-- KEYS[1]  account
-- ARGV     1 checkout, 2 part, 3 whole
-- Returns  {"not_found"} {"taken_back", "1" now | "0" before, checkout, view}
-- Writes   checkout, account, journal
--- @include "lib/keys" "lib/amounts" "lib/calendar" "lib/policy" "lib/journal" "lib/accounts" "lib/grants" "lib/cycles"
--- @include "lib/checkouts"
local a = accounts.load(string.match(KEYS[1], ":account:(.*)$"))
local c = a and checkouts.load(a.id, ARGV[1])
if not c then return {"not_found"} end
cycles.roll(a, policy.load())
local f = c.fields
local due = amounts.share(tonumber(f.credits), tonumber(ARGV[2]), tonumber(ARGV[3]))
if due <= tonumber(f.due or 0) then return {"taken_back", "0", checkouts.reply(c), accounts.view(a)} end
f.due = amounts.text(due)
checkouts.take_back(a, c)
accounts.check(a)

accounts.save(a)
checkouts.save(c)
return {"taken_back", "1", checkouts.reply(c), accounts.view(a)}
