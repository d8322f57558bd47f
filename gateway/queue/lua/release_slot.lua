#!lua flags=allow-oom
-- Release a slot, or the place in the queue for one.
--
-- KEYS[1]  slots
-- KEYS[2]  the queue for slots
-- KEYS[3]  dispatches of those in it
-- KEYS[4]  its breaker
-- KEYS[5]  jobs it was given in each second
-- Returns  {dispatch of each generation that just got a slot…}
-- Writes   all of them
--- @include "lib/slots"
local limits, kept_ms, generation = unpack(ARGV)
slots.expire(limits)
slots.dequeue(generation)
slots.free(generation)
return slots.fill(kept_ms, {})
