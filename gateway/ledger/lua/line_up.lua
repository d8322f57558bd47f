#!lua flags=allow-oom
-- Put a generation back because its provider has no room: no failure, and its queue_timeout waits with it (R16).
--
-- KEYS[1]  generation
-- ARGV     1 attempt, 2 operation, 3 dispatch ms
-- Returns  {"stale"} {"ended", …} if a cancel was asked for {"requeued", dispatch}
-- Writes   generation, deadlines, totals; all that an ending writes
--- @include "lib/keys" "lib/amounts" "lib/calendar" "lib/policy" "lib/journal" "lib/accounts" "lib/grants" "lib/cycles"
--- @include "lib/generations" "lib/promotion" "lib/ending"
local LOOK_AGAIN = 60000 -- should the line be lost; who is next in it is dispatched at once
local g = generations.load(string.match(KEYS[1], ":generation:(.*)$"))
if g and g.state == "queued" and g.attempt == ARGV[1] and g.operation == ARGV[2] then
  return {"requeued", generations.dispatch(g, tonumber(redis.call("ZSCORE", keys.deadlines(), g.id)))}
end
if not generations.held_by(g, ARGV[1]) then return ending.again(g, ARGV[2]) or {"stale"} end
if g.ref then error(g.id .. " cannot line up: its provider has its job") end
if g.cancel_requested then return ending.run(g, "cancelled", "", ARGV[2], tonumber(ARGV[3])) end

redis.call("HSET", KEYS[1], "operation", ARGV[2], "in_line", "1")
if g.failures == "0" then redis.call("HDEL", KEYS[1], "started_at") end -- its provider has done nothing yet
return {"requeued", generations.queue(g, amounts.real_now(), 0, LOOK_AGAIN)}
