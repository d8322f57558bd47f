#!lua
-- Take a slot for a generation, if there is one that nobody in the queue waits for.
--
-- KEYS[1]  slots
-- KEYS[2]  the queue for slots
-- KEYS[3]  dispatches of those in it
-- Returns  {"1" or "0": it has one, dispatch of another that has one now…}
-- Writes   all of them
--- @include "lib/slots"
local limit, kept_ms, generation = unpack(ARGV)
slots.expire()
-- Those in the queue go first, so if there is room left, nobody is in it. Who is in it and comes by another way (the
-- ledger looks at it once a minute) is not dispatched as well.
slots.dispatch_no_more(generation)
local reply = slots.fill(limit, kept_ms, {"0"})
local acquired = slots.has(generation) or slots.has_room(limit)
slots.dequeue(generation)
if acquired then
  slots.keep(generation, kept_ms)
  reply[1] = "1"
end
return reply
