#!lua
-- Take a slot for a generation, if one is left after serving the queue.
--
-- KEYS[1]  slots
-- KEYS[2]  the queue for slots
-- KEYS[3]  dispatches of those in it
-- Returns  {"1" or "0": whether it has one, dispatch of each other generation that just got one…}
-- Writes   all of them
--- @include "lib/slots"
local limit, kept_ms, generation = unpack(ARGV)
slots.expire()
-- The queue is served first, so a slot is left only if the queue is empty. A queued generation that comes here itself
-- (the ledger checks it once a minute) must not be dispatched as well.
slots.dispatch_no_more(generation)
local reply = slots.fill(limit, kept_ms, {"0"})
local acquired = slots.has(generation) or slots.has_room(limit)
slots.dequeue(generation)
if acquired then
  slots.keep(generation, kept_ms)
  reply[1] = "1"
end
return reply
