#!lua flags=allow-oom
-- A queued generation waits for a slot of its provider. Its queue_timeout does not run meanwhile (R16).
--
-- KEYS[1]  generation
-- Returns  {"stale"} {"requeued", dispatch}
-- Writes   generation, deadlines
--- @include "lib/amounts" "lib/generations"
local attempt = unpack(ARGV) -- the next one, which found no free slot
local CHECK_AGAIN_MS = 60000 -- in case the provider's queue is lost; otherwise a free slot dispatches it at once
local g = generations.load(string.match(KEYS[1], ":generation:(.*)$"))
if not g or g.state ~= "queued" or tonumber(g.attempt) + 1 ~= tonumber(attempt) then return {"stale"} end
if g.ref then error(g.id .. " cannot wait for a slot: its provider has its job") end

local deadline = amounts.real_now() + CHECK_AGAIN_MS
redis.call("HSET", KEYS[1], "in_line", "1")
generations.set_deadline(g.id, deadline)
return {"requeued", generations.dispatch(g, deadline)}
