#!lua flags=allow-oom
-- Store the provider's job id before waiting for the job, so that the next attempt can resume it (R17).
--
-- KEYS[1]  generation
-- Returns  {"stale"} {"noted"}
-- Writes   generation
--- @include "lib/amounts" "lib/generations"
local
  attempt,
  ref -- the provider's own job id
  = unpack(ARGV)
local g = generations.load(string.match(KEYS[1], ":generation:(.*)$"))
if not generations.held_by(g, attempt) then return {"stale"} end
if g.ref ~= ref then
  generations.set(g, "ref", ref, "ref_attempt", attempt, "ref_at", amounts.text(amounts.real_now()))
end
return {"noted"}
