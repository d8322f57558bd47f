#!lua flags=allow-oom
-- Return a generation to the queue; not a failure: its worker is stopping (R16, section 6), or its provider refused
-- the job before it had one (R30).
--
-- KEYS[1]  generation
-- Returns  {"stale"} {"ended", …} if a cancel was requested {"requeued", dispatch}
-- Writes   generation, deadlines, totals; all that an ending writes
--- @include "lib/keys" "lib/amounts" "lib/generations" "lib/ending"
local
  attempt, operation, dispatch_ms,
  free, -- "1": its provider has no job, nor was it asked for one whose answer was lost; else "0"
  tried, -- what providers have said until now, or "" if this one said nothing
  not_before -- when the next attempt may begin, or ""
  = unpack(ARGV)
local g = generations.load(string.match(KEYS[1], ":generation:(.*)$"))
if g and g.state == "queued" and g.attempt == attempt and g.operation == operation then
  return {"requeued", generations.dispatch(g, tonumber(redis.call("ZSCORE", keys.deadlines(), g.id)))}
end
if not generations.held_by(g, attempt) then return generations.ended_by(g, operation) or {"stale"} end
if g.cancel_requested then return ending.run(g, "cancelled", "", operation, tonumber(dispatch_ms)) end

-- A provider may ask to be left alone for longer than the hold lasts.
not_before = math.min(tonumber(not_before) or 0, tonumber(g.give_up_at))
redis.call("HSET", KEYS[1], "operation", operation)
if free == "1" then generations.release(g, tried) end
if tried ~= "" then redis.call("HSET", KEYS[1], "keeps_limit", "1") end
return {"requeued", generations.queue(g, amounts.real_now(), not_before, tonumber(dispatch_ms))}
