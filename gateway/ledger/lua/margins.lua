#!lua flags=no-writes
-- Read what the generations of a partition earned and cost on some days.
--
-- KEYS[1]  policy
-- Returns  {"margins", rows of each day…}
-- Writes   nothing
--- @include "lib/keys"
local
  days -- 2026-11-22, comma-separated
  = unpack(ARGV)
local reply = {"margins"}
for day in string.gmatch(days, "[^,]+") do reply[#reply + 1] = redis.call("HGETALL", keys.margin(day)) end
return reply
