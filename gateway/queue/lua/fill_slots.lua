#!lua flags=allow-oom
-- Give the slots that are free by now to those that wait, whatever became of the slots before.
--
-- KEYS[1]  slots
-- KEYS[2]  the queue for slots
-- KEYS[3]  dispatches of those in it
-- Returns  {dispatch of each that has a slot now…}
-- Writes   all of them
--- @include "lib/slots"
local limit, kept_ms = unpack(ARGV)
slots.expire()
return slots.fill(limit, kept_ms, {})
