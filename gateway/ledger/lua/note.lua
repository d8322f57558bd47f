#!lua flags=allow-oom
-- Note the provider's own job id before waiting for it, so that the next attempt resumes that job (R17).
--
-- KEYS[1]  generation
-- ARGV     1 attempt, 2 provider ref
-- Returns  {"stale"} {"noted"}
-- Writes   generation
--- @include "lib/amounts" "lib/generations"
local g = generations.load(string.match(KEYS[1], ":generation:(.*)$"))
if not generations.held_by(g, ARGV[1]) then return {"stale"} end
if g.ref ~= ARGV[2] then
  generations.set(g.id, "ref", ARGV[2], "ref_attempt", ARGV[1], "ref_at", amounts.text(amounts.real_now()))
end
return {"noted"}
