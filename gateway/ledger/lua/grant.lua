#!lua
-- Add an operator's grant to a bucket, with or without expiry (R5).
--
-- KEYS[1]  account
-- ARGV     1 operation, 2 bucket letter, 3 amount, 4 expires at or "", 5 reason, 6 most that may be available
-- Returns  {"not_found"} {"refused", "expires_in_past" | "too_much" | "too_many_grants", account's now}
--          {"applied", grant, view, {}}
-- Writes   account, journal, idempotency
--- @include "lib/amounts" "lib/journal" "lib/grants" "lib/operations"
local a, p = operations.open(ARGV[1])
if not a then return p end
local amount, expires = tonumber(ARGV[3]), tonumber(ARGV[4])
if expires and expires <= a.now then return {"refused", "expires_in_past", amounts.text(a.now)} end
if a.available + a.held + amount > tonumber(ARGV[6]) then return {"refused", "too_much", amounts.text(a.now)} end
if grants.too_many(a) then return {"refused", "too_many_grants", amounts.text(a.now)} end

local grant = grants.add(a, "o", ARGV[2], amount, expires)
journal.add(a, a.now, "grant", {[ARGV[2]] = {amount, 0}}, nil, ARGV[5])
return operations.close(a, ARGV[1], grant.id, {}, 0)
