#!lua flags=allow-oom
-- End a session of a key early. At most `sessions_max` are stored per key; beyond that, `*` replaces the oldest, and
-- stands for all sessions that began no later: those end too. An ended session never becomes valid again.
--
-- KEYS[1]  signed_out
-- Returns  {"signed_out"}
-- Writes   signed_out
--- @include "lib/amounts"
local
  session, -- or "*": all that began no later
  began_at, -- in seconds
  kept_seconds, -- how long it is stored
  sessions_max -- at least 2
  = unpack(ARGV)
local forgotten = amounts.text(math.floor(amounts.real_now() / 1000) - tonumber(kept_seconds))
local count = redis.call("ZCOUNT", KEYS[1], forgotten, "+inf")
-- The second oldest: the oldest may be `*` itself.
local old = redis.call("ZRANGE", KEYS[1], forgotten, "+inf", "BYSCORE", "LIMIT", 1, 1, "WITHSCORES")[2]

redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", "(" .. forgotten)
if count >= tonumber(sessions_max) then
  redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", old)
  redis.call("ZADD", KEYS[1], "GT", old, "*") -- it may stand for later ones already
end
redis.call("ZADD", KEYS[1], began_at, session)
redis.call("EXPIRE", KEYS[1], kept_seconds)
return {"signed_out"}
