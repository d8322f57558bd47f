#!lua flags=allow-oom
-- Return a generation to the queue because its worker must stop: not a failure (R16, section 6).
--
-- KEYS[1]  generation
-- ARGV     1 attempt, 2 operation, 3 dispatch ms
-- Returns  {"stale"} {"ended", …} if a cancel was asked for {"requeued", dispatch}
-- Writes   generation, deadlines, totals; all that an ending writes
--- @include "lib/keys" "lib/amounts" "lib/generations" "lib/ending"
local g = generations.load(string.match(KEYS[1], ":generation:(.*)$"))
if g and g.state == "queued" and g.attempt == ARGV[1] and g.operation == ARGV[2] then
  return {"requeued", generations.dispatch(g, tonumber(redis.call("ZSCORE", keys.deadlines(), g.id)))}
end
if not generations.held_by(g, ARGV[1]) then return generations.ended_by(g, ARGV[2]) or {"stale"} end
if g.cancel_requested then return ending.run(g, "cancelled", "", ARGV[2], tonumber(ARGV[3])) end

redis.call("HSET", KEYS[1], "operation", ARGV[2])
return {"requeued", generations.queue(g, amounts.real_now(), 0, tonumber(ARGV[3]))}
