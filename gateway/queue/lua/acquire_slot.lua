#!lua
-- Take a slot for a new job of a generation, if the provider takes another one after serving the queue.
--
-- KEYS[1]  slots
-- KEYS[2]  the queue for slots
-- KEYS[3]  dispatches of those in it
-- KEYS[4]  its breaker
-- KEYS[5]  jobs it was given in each second
-- Returns  {"" if it has one, else "open", "full" or "rate", dispatch of each other generation that just got one…}
-- Writes   all of them
--- @include "lib/slots"
local limits, kept_ms, generation = unpack(ARGV)
slots.expire(limits)
-- The queue is served first, so a slot is left only if the queue is empty. A queued generation that comes here itself
-- (the ledger checks it once a minute) must not be dispatched as well.
slots.dispatch_no_more(generation)
local reply = slots.fill(kept_ms, {""})
local refused = not slots.has(generation) and slots.refusal()
slots.dequeue(generation)
if refused then
  reply[1] = refused
elseif slots.has(generation) then
  slots.keep(generation, kept_ms)
else
  slots.start(generation, kept_ms)
end
return reply
