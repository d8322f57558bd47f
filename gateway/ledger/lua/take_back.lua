#!lua flags=allow-oom
-- A bundle's payment was returned, or regained: adjust the bundle's grant to the amount due (R33). Until the payment is
-- known, reports are only stored. The latest one on each refund and dispute counts, in whatever order they arrive.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"refused", "too_many_returns"} {"taken_back", "1" now | "0" before, checkout, view}
-- Writes   checkout, account, journal
--- @include "lib/policy" "lib/accounts" "lib/steps" "lib/checkouts" "lib/returns"
local
  checkout,
  what, -- "charge", "refund:<id>" or "dispute:<id>"
  at, -- the time of the report
  part,
  whole, -- of the payment
  made_at -- when the refund that has failed was created, or ""
  = unpack(ARGV)
local a = accounts.load(string.match(KEYS[1], ":account:(.*)$"))
local c = a and checkouts.load(a.id, checkout)
if not c then return {"not_found"} end
local p = policy.load()
steps.roll(a, p)
local due = returns.due(c.fields)
local news = returns.note(c, what, tonumber(at), tonumber(part), tonumber(whole), tonumber(made_at))
if news == nil then return {"refused", "too_many_returns"} end
if not news then return {"taken_back", "0", checkouts.reply(c), accounts.view(a)} end
returns.settle(a, p, c, what)
local changed = tonumber(c.fields.due) ~= due
accounts.check(a)

accounts.save(a)
checkouts.save(c)
return {"taken_back", changed and "1" or "0", checkouts.reply(c), accounts.view(a)}
