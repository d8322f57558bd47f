#!lua flags=allow-oom
-- Record one finished output: from now on it can be downloaded and will be paid for (R9).
--
-- KEYS[1]  generation
-- ARGV     1 attempt, 2 index, 3 output (JSON)
-- Returns  {"stale"} {"noted"}
-- Writes   generation
--- @include "lib/amounts" "lib/generations"
local g = generations.load(string.match(KEYS[1], ":generation:(.*)$"))
if not generations.held_by(g, ARGV[1]) then return {"stale"} end
local index = tonumber(ARGV[2])
if index < 0 or index >= tonumber(g.outputs) then
  error("output " .. ARGV[2] .. " of " .. g.id .. " was not asked for")
end
if g["output:" .. ARGV[2]] then return {"noted"} end
generations.set(g.id, "output:" .. ARGV[2], ARGV[3], "delivered", amounts.text(tonumber(g.delivered) + 1))
return {"noted"}
