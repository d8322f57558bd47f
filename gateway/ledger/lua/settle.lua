#!lua flags=allow-oom
-- End an attempt: commit what was delivered and refund the rest, or queue the next attempt (R9).
--
-- KEYS[1]  generation
-- Returns  {"stale"} {"requeued", dispatch} {"ended", …}
-- Writes   generation, deadlines, totals; all that an ending writes
--- @include "lib/keys" "lib/generations" "lib/ending" "lib/failing"
local
  attempt, operation,
  failure, -- its code, or ""
  dispatch_ms,
  tried, -- with `provider_failed`: what providers have said until now, this one last; "": it may still have a job
  untried, -- how many of its providers have not been tried yet
  lost -- the cost of what it made and did not deliver, or "": see `lost`
  = unpack(ARGV)
local g = generations.load(string.match(KEYS[1], ":generation:(.*)$"))
dispatch_ms = tonumber(dispatch_ms)
if g and g.attempt == attempt and g.operation == operation then
  if not generations.open(g) then return generations.ended_by(g, operation) end
  if g.state == "queued" then
    return {"requeued", generations.dispatch(g, tonumber(redis.call("ZSCORE", keys.deadlines(), g.id)))}
  end
end
if not generations.held_by(g, attempt) then return {"stale"} end
if lost ~= "" then g.lost, g.loses = (g.lost and g.lost .. ";" or "") .. lost, true end
if failure ~= "" then return failing.run(g, failure, operation, dispatch_ms, tried, tonumber(untried)) end

local state = ending.state(g)
return ending.run(g, state, state == "failed" and "internal" or "", operation, dispatch_ms)
