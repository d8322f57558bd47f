#!lua flags=allow-oom
-- Return a generation to the queue because its worker is stopping; not a failure (R16, section 6).
--
-- KEYS[1]  generation
-- Returns  {"stale"} {"ended", …} if a cancel was requested {"requeued", dispatch}
-- Writes   generation, deadlines, totals; all that an ending writes
--- @include "lib/keys" "lib/amounts" "lib/generations" "lib/ending"
local attempt, operation, dispatch_ms = unpack(ARGV)
local g = generations.load(string.match(KEYS[1], ":generation:(.*)$"))
if g and g.state == "queued" and g.attempt == attempt and g.operation == operation then
  return {"requeued", generations.dispatch(g, tonumber(redis.call("ZSCORE", keys.deadlines(), g.id)))}
end
if not generations.held_by(g, attempt) then return generations.ended_by(g, operation) or {"stale"} end
if g.cancel_requested then return ending.run(g, "cancelled", "", operation, tonumber(dispatch_ms)) end

redis.call("HSET", KEYS[1], "operation", operation)
return {"requeued", generations.queue(g, amounts.real_now(), 0, tonumber(dispatch_ms))}
