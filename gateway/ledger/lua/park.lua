#!lua flags=allow-oom
-- Park a generation at its provider: no lease, but a next poll, after 30 s doubling to 5 min, or sooner (R17).
--
-- KEYS[1]  generation
-- Returns  {"stale"} {"ended", …} if a cancel was requested {"parked", next poll, dispatch if called back or {}}
-- Writes   generation, deadlines; all that an ending writes
--- @include "lib/keys" "lib/amounts" "lib/generations" "lib/ending"
local
  attempt, operation, dispatch_ms,
  progress, -- in thousandths, or ""
  poll_ms -- the longest poll interval, or ""
  = unpack(ARGV)
local g = generations.load(string.match(KEYS[1], ":generation:(.*)$"))
-- A callback that arrived while the attempt ran must not be missed.
local called_back = g and g.ref and g.called_back == g.ref

local function parked(next_poll)
  return {"parked", amounts.text(next_poll), called_back and generations.dispatch(g, next_poll) or {}}
end

if g and g.parked and g.attempt == attempt and g.operation == operation then
  return parked(tonumber(redis.call("ZSCORE", keys.deadlines(), g.id)))
end
if not generations.held_by(g, attempt) then return generations.ended_by(g, operation) or {"stale"} end
if not g.ref then error(g.id .. " cannot be parked: its provider gave no ref") end
if g.cancel_requested then return ending.run(g, "cancelled", "", operation, tonumber(dispatch_ms)) end

local looks = tonumber(g.looks or 0)
local pause = called_back and tonumber(dispatch_ms) or math.min(30000 * 2 ^ looks, 300000, tonumber(poll_ms) or 300000)
local now, give_up_at = amounts.real_now(), tonumber(g.give_up_at)
-- Poll once more before `give_up_at`, so that outputs made since the last poll are not lost; then at `give_up_at`.
local last_poll = give_up_at - 10000
local next_poll = math.min(now + pause, now < last_poll and last_poll or math.max(now, give_up_at))
if (tonumber(progress) or 0) > tonumber(g.progress or 0) then redis.call("HSET", KEYS[1], "progress", progress) end
generations.set(
  g, "parked", "1", "looks", amounts.text(looks + 1), "operation", operation, "looked_at", amounts.text(now))
generations.remove(g, "lease_until")
generations.set_deadline(g.id, next_poll)
return parked(next_poll)
