#!lua flags=allow-oom
-- End a session of a key before its time. So many of a key are remembered one by one; beyond that the oldest are
-- dropped, and `*` stands for all that began no later than they did: those end too. An ended session never comes back.
--
-- KEYS[1]  signed_out
-- Returns  {"signed_out"}
-- Writes   signed_out
--- @include "lib/amounts"
local
  session,
  began_at, -- in seconds
  kept_seconds, -- how long it is remembered
  sessions_max -- that are, at least 2
  = unpack(ARGV)
local forgotten = amounts.text(math.floor(amounts.real_now() / 1000) - tonumber(kept_seconds))
local count = redis.call("ZCOUNT", KEYS[1], forgotten, "+inf")
-- The second oldest: the oldest may be `*` itself.
local old = redis.call("ZRANGE", KEYS[1], forgotten, "+inf", "BYSCORE", "LIMIT", 1, 1, "WITHSCORES")[2]

redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", "(" .. forgotten)
if count >= tonumber(sessions_max) then
  redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", old)
  redis.call("ZADD", KEYS[1], old, "*")
end
redis.call("ZADD", KEYS[1], began_at, session)
redis.call("EXPIRE", KEYS[1], kept_seconds)
return {"signed_out"}
