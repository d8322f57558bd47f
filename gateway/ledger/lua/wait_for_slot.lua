#!lua flags=allow-oom
-- Leave a queued generation to its provider's line, which has no room: its queue_timeout waits with it (R16).
--
-- KEYS[1]  generation
-- Returns  {"stale"} {"requeued", dispatch}
-- Writes   generation, deadlines
--- @include "lib/amounts" "lib/generations"
local attempt = unpack(ARGV) -- that finds no room: the next one
local CHECK_AGAIN_MS = 60000 -- should the line be lost; who is next in it is dispatched at once
local g = generations.load(string.match(KEYS[1], ":generation:(.*)$"))
if not g or g.state ~= "queued" or tonumber(g.attempt) + 1 ~= tonumber(attempt) then return {"stale"} end
if g.ref then error(g.id .. " cannot line up: its provider has its job") end

local deadline = amounts.real_now() + CHECK_AGAIN_MS
redis.call("HSET", KEYS[1], "in_line", "1")
generations.set_deadline(g.id, deadline)
return {"requeued", generations.dispatch(g, deadline)}
