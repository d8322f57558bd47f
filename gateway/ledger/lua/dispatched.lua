#!lua flags=allow-oom
-- Move a dispatch deadline on, now that arq has the job: only if it still is the one read (outbox, section 5).
--
-- KEYS[1]  generation
-- ARGV     1 the deadline that was read
-- Returns  {"stale"} {"noted"}
-- Writes   deadlines
--- @include "lib/keys" "lib/amounts" "lib/generations"
local LOOK_AGAIN = 60000
local g = generations.load(string.match(KEYS[1], ":generation:(.*)$"))
local deadline = g and redis.call("ZSCORE", keys.deadlines(), g.id)
local dispatchable = g and (g.state == "queued" or g.parked)
if not deadline or not dispatchable or tonumber(deadline) ~= tonumber(ARGV[1]) then return {"stale"} end
local now = amounts.real_now()
local look_at = math.max(now, tonumber(g.not_before or 0)) + LOOK_AGAIN
if g.state == "queued" and not g.ref then
  look_at = math.min(look_at, math.max(now, tonumber(g.queued_at) + generations.terms(g).queue_timeout))
end
generations.look_at(g.id, look_at)
return {"noted"}
