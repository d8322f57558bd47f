#!lua flags=allow-oom
-- Hold a slot for `kept_ms`, even beyond the limit: the provider already has the job.
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
