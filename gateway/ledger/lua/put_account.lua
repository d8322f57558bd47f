#!lua
-- Create or update an account.
--
-- KEYS[1]  account
-- Returns  {"applied", created "1"/"0", view, its previous email or ""}
-- Writes   account, journal, totals
--- @include "lib/amounts" "lib/policy" "lib/accounts" "lib/steps" "lib/generations" "lib/archive"
local
  email, -- or "": unchanged
  metadata, -- JSON, or "": unchanged
  free_credits -- "yes", "no", or "": unchanged
  = unpack(ARGV)
local id = string.match(KEYS[1], ":account:(.*)$")
local a = accounts.load(id)
local made, had, had_free = not a, a and a.fields.email or "", a and a.fields.free_credits
if made then a = accounts.read(id, {"created_at", amounts.text(amounts.real_now())}) end
if email ~= "" then a.fields.email = email end
if metadata ~= "" then a.fields.metadata = metadata end
if free_credits ~= "" then a.fields.free_credits = free_credits end
local p = policy.load()
steps.roll(a, p)
-- Otherwise the rolled state is not saved: the first script that reads or spends writes the first reset, so idle
-- accounts stay small.
local given = free_credits == "yes" and had_free ~= "yes" and steps.give_free(a, p)
if given then accounts.check(a) end
local view = accounts.view(a)

if given then accounts.save(a) end
redis.call("HSET", KEYS[1], "created_at", a.fields.created_at)
if free_credits ~= "" then redis.call("HSET", KEYS[1], "free_credits", free_credits) end
if email ~= "" then redis.call("HSET", KEYS[1], "email", email) end
if email ~= "" and string.lower(email) ~= string.lower(had) then redis.call("HDEL", KEYS[1], "person") end
if metadata ~= "" then redis.call("HSET", KEYS[1], "metadata", metadata) end
if made then generations.count("accounts", 1) end
archive.mark(id, a.real)
return {"applied", made and "1" or "0", view, had}
