#!lua flags=no-writes
-- The generations of a partition whose deadline has passed, earliest first.
--
-- KEYS[1]  deadlines
-- ARGV     1 how many at most
-- Returns  {generation, deadline, …}
-- Writes   nothing
--- @include "lib/amounts"
return redis.call(
  "ZRANGE", KEYS[1], "-inf", amounts.text(amounts.real_now()), "BYSCORE", "LIMIT", 0, ARGV[1], "WITHSCORES")
