#!lua
-- Add an operator's grant to a bucket, with or without expiry (R5).
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"refused", "expires_in_past" | "too_much" | "too_many_grants", account's now}
--          {"applied", grant, view, {}}
-- Writes   account, journal, idempotency
--- @include "lib/amounts" "lib/journal" "lib/grants" "lib/operations" "lib/worth"
local
  operation,
  bucket, -- its letter
  amount,
  expires_at, -- or ""
  reason, available_max,
  paid -- what was paid for it, in micro-units, or ""
  = unpack(ARGV)
local a, p = operations.open(operation)
if not a then return p end
amount, expires_at = tonumber(amount), tonumber(expires_at)
if expires_at and expires_at <= a.now then return {"refused", "expires_in_past", amounts.text(a.now)} end
if a.available + a.held + amount > tonumber(available_max) then return {"refused", "too_much", amounts.text(a.now)} end
if grants.too_many(a) then return {"refused", "too_many_grants", amounts.text(a.now)} end

local grant = grants.add(a, "o", bucket, amount, expires_at)
local worth = make_worth()
if paid ~= "" then worth.set(a, grant, worth.ratio(tonumber(paid), amount)) end
journal.add(a, a.now, "grant", {[bucket] = {amount, 0}}, nil, reason)
return operations.close(a, operation, grant.id, {}, 0)
