#!lua
-- Create or update an account.
--
-- KEYS[1]  account
-- ARGV     1 email or "" (leave), 2 metadata (JSON) or "" (leave)
-- Returns  {"applied", made "1"/"0", view}
-- Writes   account, totals; journal: what rolling forward changed
--- @include "lib/keys" "lib/amounts" "lib/calendar" "lib/policy" "lib/journal" "lib/accounts" "lib/grants" "lib/cycles"
--- @include "lib/generations"
local id = string.match(KEYS[1], ":account:(.*)$")
local made = redis.call("EXISTS", KEYS[1]) == 0
if made then
  policy.load()
  redis.call("HSET", KEYS[1], "created_at", amounts.text(amounts.real_now()))
  generations.count("accounts", 1)
end
if ARGV[1] ~= "" then redis.call("HSET", KEYS[1], "email", ARGV[1]) end
if ARGV[2] ~= "" then redis.call("HSET", KEYS[1], "metadata", ARGV[2]) end
-- A new account's first reset is written by whatever spends or asks first: an idle account is one small key.
local a = accounts.load(id)
cycles.roll(a, policy.load())
return {"applied", made and "1" or "0", accounts.view(a)}
