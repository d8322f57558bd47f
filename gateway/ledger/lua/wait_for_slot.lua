#!lua flags=allow-oom
-- A queued generation waits for a slot of its provider. Its queue_timeout does not run meanwhile (R16); with `limited`
-- its time at the providers does, since none of them is working (R30).
--
-- KEYS[1]  generation
-- Returns  {"stale"} {"requeued", dispatch}
-- Writes   generation, deadlines
--- @include "lib/amounts" "lib/generations"
local
  attempt, -- the next one, which found no free slot
  limited -- "1" or "0"
  = unpack(ARGV)
local CHECK_AGAIN_MS = 60000 -- in case the provider's queue is lost; otherwise a free slot dispatches it at once
local g = generations.load(string.match(KEYS[1], ":generation:(.*)$"))
if not g or g.state ~= "queued" or tonumber(g.attempt) + 1 ~= tonumber(attempt) then return {"stale"} end
if g.ref then error(g.id .. " cannot wait for a slot: its provider has its job") end

local now = amounts.real_now()
local give_up_at = g.keeps_limit and tonumber(g.give_up_at)
if limited == "1" and not give_up_at then
  give_up_at = now + generations.terms(g).provider_timeout
  redis.call("HSET", KEYS[1], "keeps_limit", "1", "give_up_at", amounts.text(give_up_at))
end
local deadline = math.min(now + CHECK_AGAIN_MS, give_up_at or now + CHECK_AGAIN_MS)
redis.call("HSET", KEYS[1], "in_line", "1")
generations.set_deadline(g.id, deadline)
return {"requeued", generations.dispatch(g, deadline)}
