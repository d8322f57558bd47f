#!lua
-- Have a generation wait for a slot, in the order of the tool's queue.
--
-- KEYS[1]  slots
-- KEYS[2]  the queue for slots
-- KEYS[3]  dispatches of those in it
-- Returns  {dispatch of each that has a slot now, perhaps its own…}
-- Writes   all of them
--- @include "lib/slots"
local limit, kept_ms, generation, score, dispatch = unpack(ARGV)
slots.expire()
slots.free(generation)
slots.enqueue(generation, score, dispatch)
return slots.fill(limit, kept_ms, {})
