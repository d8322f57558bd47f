#!lua
-- Admit an upload of an account, or return when to retry: a burst of a day's allowance, refilled evenly (GCRA).
-- The key's value is the time at which the allowance is full again; it expires then.
--
-- KEYS[1]  taken_in
-- Returns  {"limited", retry after ms, full again after ms} {"admitted", remaining KiB, full again after ms}
-- Writes   taken_in
--- @include "lib/amounts"
local
  kib_per_day,
  kib -- of this file
  = unpack(ARGV)
local DAY = 86400000 -- in milliseconds, like all times here
local per_day, size = tonumber(kib_per_day), tonumber(kib)
local cost = math.ceil(size * DAY / per_day) -- 51,200 KiB × a day is 4.4e12: exact
local now = amounts.real_now()
local whole_at = tonumber(redis.call("GET", KEYS[1]) or now)
-- Never more than a day ahead, though a failover may have set the clock back.
local ahead = math.min(math.max(whole_at - now, 0), DAY)

if ahead + cost > DAY then return {"limited", amounts.text(ahead + cost - DAY), amounts.text(ahead)} end
ahead = ahead + cost

redis.call("SET", KEYS[1], amounts.text(now + ahead), "PX", amounts.text(math.max(ahead, 1)))
return {"admitted", amounts.text(math.floor((DAY - ahead) * per_day / DAY)), amounts.text(ahead)}
