#!lua flags=allow-oom
-- End an attempt: commit what was delivered and refund the rest, or queue the next attempt (R9).
--
-- KEYS[1]  generation
-- ARGV     1 attempt, 2 operation, 3 failure code or "", 4 dispatch ms
-- Returns  {"stale"} {"requeued", dispatch} {"ended", …}
-- Writes   generation, deadlines, totals; all that an ending writes
--- @include "lib/keys" "lib/generations" "lib/ending" "lib/failing"
local g = generations.load(string.match(KEYS[1], ":generation:(.*)$"))
local operation, code, dispatch_ms = ARGV[2], ARGV[3], tonumber(ARGV[4])
if g and g.attempt == ARGV[1] and g.operation == operation then
  if not generations.open(g) then return generations.ended_by(g, operation) end
  if g.state == "queued" then
    return {"requeued", generations.dispatch(g, tonumber(redis.call("ZSCORE", keys.deadlines(), g.id)))}
  end
end
if not generations.held_by(g, ARGV[1]) then return {"stale"} end
if code ~= "" then return failing.run(g, code, operation, dispatch_ms) end

local state = ending.state(g)
return ending.run(g, state, state == "failed" and "internal" or "", operation, dispatch_ms)
