#!lua
-- Add a purchase: a grant that never expires (R4). That it may be bought was checked when its checkout began.
--
-- KEYS[1]  account
-- ARGV     1 operation, 2 amount, 3 reason
-- Returns  {"not_found"} {"applied", grant, view, {}}
-- Writes   account, journal, idempotency
--- @include "lib/keys" "lib/amounts" "lib/calendar" "lib/policy" "lib/journal" "lib/accounts" "lib/grants" "lib/cycles"
--- @include "lib/generations" "lib/promotion" "lib/operations"
local a, p = operations.open(ARGV[1])
if not a then return p end
local amount = tonumber(ARGV[2])
local grant = grants.add(a, "t", "t", amount, nil)
journal.add(a, a.now, "grant", {t = {amount, 0}}, nil, ARGV[3])
return operations.close(a, ARGV[1], grant.id, {}, 0)
