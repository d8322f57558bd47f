#!lua
-- Queue a generation for a slot, in the order of the tool's queue.
--
-- KEYS[1]  slots
-- KEYS[2]  the queue for slots
-- KEYS[3]  dispatches of those in it
-- KEYS[4]  its breaker
-- KEYS[5]  jobs it was given in each second
-- Returns  {dispatch of each generation that just got a slot, possibly this one…}
-- Writes   all of them
--- @include "lib/slots"
local limits, kept_ms, generation, score, dispatch = unpack(ARGV)
slots.expire(limits)
slots.free(generation)
slots.enqueue(generation, score, dispatch)
return slots.fill(kept_ms, {})
