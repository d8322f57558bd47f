#!lua flags=no-writes
-- The generations of a partition whose deadline has passed, earliest first.
--
-- KEYS[1]  deadlines
-- Returns  {generation, deadline, …}
-- Writes   nothing
--- @include "lib/amounts"
local limit = unpack(ARGV)
return redis.call(
  "ZRANGE", KEYS[1], "-inf", amounts.text(amounts.real_now()), "BYSCORE", "LIMIT", 0, limit, "WITHSCORES")
