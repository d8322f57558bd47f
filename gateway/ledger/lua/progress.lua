#!lua flags=allow-oom
-- Record how far a parked generation's job is, as its provider says without being asked (R17).
--
-- KEYS[1]  generation
-- ARGV     1 the provider's own id of the job, 2 progress in thousandths
-- Returns  {"stale"} the job is no open generation's (any more) {"noted"}
-- Writes   generation
--- @include "lib/generations"
local g = generations.load(string.match(KEYS[1], ":generation:(.*)$"))
if not g or g.state ~= "running" or g.ref ~= ARGV[1] then return {"stale"} end

-- An attempt that looks at it just now says by itself how far it is. Progress never goes back.
if g.parked and tonumber(ARGV[2]) > tonumber(g.progress or 0) then generations.set(g.id, "progress", ARGV[2]) end
return {"noted"}
