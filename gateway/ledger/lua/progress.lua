#!lua flags=allow-oom
-- Record the progress of a parked generation's job, as reported by its provider (R17).
--
-- KEYS[1]  generation
-- Returns  {"stale"} if no open generation has this job {"noted"}
-- Writes   generation
--- @include "lib/generations"
local
  job, -- the provider's own id
  thousandths
  = unpack(ARGV)
local g = generations.load(string.match(KEYS[1], ":generation:(.*)$"))
if not g or g.state ~= "running" or g.ref ~= job then return {"stale"} end

-- An attempt that is polling it reports progress itself. Progress never decreases.
if g.parked and tonumber(thousandths) > tonumber(g.progress or 0) then
  generations.set(g, "progress", thousandths)
end
return {"noted"}
