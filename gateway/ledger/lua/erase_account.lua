#!lua flags=allow-oom
-- Remove from an account what is of a person: email, metadata, members, API keys. Credits and plan stay (R38).
-- The new keys version invalidates every gateway's cache at once.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"erased"}
-- Writes   account, unarchived
--- @include "lib/amounts" "lib/archive"
local finished = unpack(ARGV) -- 1: everything else of the person is gone too
if redis.call("EXISTS", KEYS[1]) == 0 then return {"not_found"} end
local PERSONAL = {
  email = true, metadata = true, member = true, of = true, person = true,
  key = true, used = true, bound = true, succeeds = true, rotated = true, limit = true, counted = true,
}
local gone = {}
for _, name in ipairs(redis.call("HKEYS", KEYS[1])) do
  if PERSONAL[string.match(name, "^[^:]+")] then gone[#gone + 1] = name end
end

for _, name in ipairs(gone) do redis.call("HDEL", KEYS[1], name) end
redis.call("HINCRBY", KEYS[1], "keys_version", 1)
if finished == "1" then
  redis.call("HSET", KEYS[1], "erased", amounts.text(amounts.real_now()))
  redis.call("HDEL", KEYS[1], "erasing")
end
archive.mark(string.match(KEYS[1], ":account:(.*)$"), amounts.real_now())
return {"erased"}
