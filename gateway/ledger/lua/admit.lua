#!lua flags=allow-oom
-- Admit one request of a key, or return when to retry: a burst of `per_minute`, refilled evenly over a minute (GCRA).
-- The key's value is the time at which the allowance is full again; it expires then.
--
-- KEYS[1]  rate
-- Returns  {"limited", retry after ms, full again after ms} {"admitted", remaining, full again after ms}
-- Writes   rate
--- @include "lib/amounts"
local per_minute = unpack(ARGV)
local MINUTE = 60000000 -- in microseconds, like all times here: one in 60,000,000 requests is finer than any limit
local interval = math.floor(MINUTE / tonumber(per_minute))
local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local whole_at = tonumber(redis.call("GET", KEYS[1]) or now)
-- Never more than a minute ahead, though a failover may have set the clock back.
local ahead = math.min(math.max(whole_at - now, 0), MINUTE)
local function ms(microseconds) return amounts.text(math.ceil(microseconds / 1000)) end

if ahead + interval > MINUTE then return {"limited", ms(ahead + interval - MINUTE), ms(ahead)} end
ahead = ahead + interval

redis.call("SET", KEYS[1], amounts.text(now + ahead), "PX", ms(ahead))
return {"admitted", amounts.text(math.floor((MINUTE - ahead) / interval)), ms(ahead)}
