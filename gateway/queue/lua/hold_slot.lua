#!lua flags=allow-oom
-- Keep a slot for so long, whether there is room or not: the provider has the job.
--
-- KEYS[1]  slots
-- KEYS[2]  the queue for slots
-- KEYS[3]  dispatches of those in it
-- Returns  {}
-- Writes   all of them
--- @include "lib/slots"
local kept_ms, generation = unpack(ARGV)
slots.expire()
slots.dequeue(generation)
slots.keep(generation, kept_ms)
return {}
