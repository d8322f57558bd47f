#!lua flags=allow-oom
-- A provider reports that a job has ended: the generation is polled now (R17). The report is only a hint.
--
-- KEYS[1]  generation
-- Returns  {"not_found"} {"stray", tool} {"unchanged", generation} {"called_back", dispatch or {}}
-- Writes   generation, deadlines
--- @include "lib/amounts" "lib/generations"
local
  job, -- the provider's own id
  provider, -- or "": its own
  dispatch_ms
  = unpack(ARGV)
local g = generations.load(string.match(KEYS[1], ":generation:(.*)$"))
if not g then return {"not_found"} end
-- A provider that was left has nothing to say anymore (R30).
if g.tried and provider ~= "" and provider ~= generations.provider(g.request) then return {"stray", g.tool} end
-- Without a noted ref, the job may be one whose ref is being noted; not in a final state.
if g.ref ~= job and (g.ref or not generations.open(g)) then return {"stray", g.tool} end
if g.state ~= "running" then return {"unchanged", generations.reply(g.id)} end

if not g.parked then
  if g.called_back ~= job then redis.call("HSET", KEYS[1], "called_back", job) end
  return {"called_back", {}}
end
local deadline = amounts.real_now() + tonumber(dispatch_ms)
generations.set_deadline(g.id, deadline)
return {"called_back", generations.dispatch(g, deadline)}
