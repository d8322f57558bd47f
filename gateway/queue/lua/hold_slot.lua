#!lua flags=allow-oom
-- Hold a slot for `kept_ms`, even beyond the limit: the provider already has the job.
--
-- KEYS[1]  slots
-- KEYS[2]  the queue for slots
-- KEYS[3]  dispatches of those in it
-- KEYS[4]  its breaker
-- KEYS[5]  jobs it was given in each second
-- Returns  {}
-- Writes   all of them
--- @include "lib/slots"
local
  kept_ms, generation,
  new -- "1" if it is given this job now, without having asked for a slot
  = unpack(ARGV)
slots.expire("0,,0")
if new == "1" then slots.count() end
slots.dequeue(generation)
slots.keep(generation, kept_ms)
return {}
