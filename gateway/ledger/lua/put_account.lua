#!lua
-- Create or update an account.
--
-- KEYS[1]  account
-- Returns  {"applied", created "1"/"0", view, its previous email or ""}
-- Writes   account, totals
--- @include "lib/amounts" "lib/policy" "lib/accounts" "lib/steps" "lib/generations"
local
  email, -- or "": unchanged
  metadata -- JSON, or "": unchanged
  = unpack(ARGV)
local id = string.match(KEYS[1], ":account:(.*)$")
local a = accounts.load(id)
local made, had = not a, a and a.fields.email or ""
if made then a = accounts.read(id, {"created_at", amounts.text(amounts.real_now())}) end
if email ~= "" then a.fields.email = email end
if metadata ~= "" then a.fields.metadata = metadata end
steps.roll(a, policy.load())
local view = accounts.view(a)

-- The rolled state is not saved: the first script that reads or spends writes the first reset, so idle accounts stay
-- small.
redis.call("HSET", KEYS[1], "created_at", a.fields.created_at)
if email ~= "" then redis.call("HSET", KEYS[1], "email", email) end
if metadata ~= "" then redis.call("HSET", KEYS[1], "metadata", metadata) end
if made then generations.count("accounts", 1) end
return {"applied", made and "1" or "0", view, had}
