#!lua flags=allow-oom
-- Money for a bundle went back, or came back after all: bring its own grant to what is due (R33). Before the payment is
-- known this is remembered. The latest word on each refund and dispute counts, in whatever order they are told.
--
-- KEYS[1]  account
-- ARGV     1 checkout, 2 "charge", "refund:<id>" or "dispute:<id>", 3 when that was so, 4 part, 5 whole of the payment,
--          6 "" or when the refund was made that has bounced
-- Returns  {"not_found"} {"refused", "too_many_returns"} {"taken_back", "1" now | "0" before, checkout, view}
-- Writes   checkout, account, journal
--- @include "lib/policy" "lib/accounts" "lib/steps" "lib/checkouts" "lib/returns"
local a = accounts.load(string.match(KEYS[1], ":account:(.*)$"))
local c = a and checkouts.load(a.id, ARGV[1])
if not c then return {"not_found"} end
local p = policy.load()
steps.roll(a, p)
local due = returns.due(c.fields)
local news = returns.note(c, ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]))
if news == nil then return {"refused", "too_many_returns"} end
if not news then return {"taken_back", "0", checkouts.reply(c), accounts.view(a)} end
returns.settle(a, p, c, ARGV[2])
local changed = tonumber(c.fields.due) ~= due
accounts.check(a)

accounts.save(a)
checkouts.save(c)
return {"taken_back", changed and "1" or "0", checkouts.reply(c), accounts.view(a)}
