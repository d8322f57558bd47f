#!lua flags=allow-oom
-- Give free slots, including lapsed ones, to waiting generations.
--
-- KEYS[1]  slots
-- KEYS[2]  the queue for slots
-- KEYS[3]  dispatches of those in it
-- Returns  {dispatch of each generation that just got a slot…}
-- Writes   all of them
--- @include "lib/slots"
local limit, kept_ms = unpack(ARGV)
slots.expire()
return slots.fill(limit, kept_ms, {})
