#!lua flags=allow-oom
-- Record one finished output: from now on it can be downloaded, and will be charged (R9).
--
-- KEYS[1]  generation
-- Returns  {"stale"} {"noted"}
-- Writes   generation
--- @include "lib/amounts" "lib/generations"
local
  attempt, index,
  output -- JSON
  = unpack(ARGV)
local g = generations.load(string.match(KEYS[1], ":generation:(.*)$"))
if not generations.held_by(g, attempt) then return {"stale"} end
if tonumber(index) < 0 or tonumber(index) >= tonumber(g.outputs) then
  error("output " .. index .. " of " .. g.id .. " was not asked for")
end
if g["output:" .. index] then return {"noted"} end
generations.set(g.id, "output:" .. index, output, "delivered", amounts.text(tonumber(g.delivered) + 1))
return {"noted"}
