#!lua flags=allow-oom
-- Record one finished output: it can be downloaded now, and will be charged (R9); its first report stands (R29).
--
-- KEYS[1]  generation
-- Returns  {"stale"} {"noted"}
-- Writes   generation
--- @include "lib/amounts" "lib/generations"
local
  attempt, index,
  output, -- JSON
  reported, -- of it, or "": see `reported:<index>`
  cost -- or "": see `cost:<index>`
  = unpack(ARGV)
local g = generations.load(string.match(KEYS[1], ":generation:(.*)$"))
if not generations.held_by(g, attempt) then return {"stale"} end
if tonumber(index) < 0 or tonumber(index) >= tonumber(g.outputs) then
  error("output " .. index .. " of " .. g.id .. " was not asked for")
end
if g["output:" .. index] then return {"noted"} end
local fields = {"output:" .. index, output, "delivered", amounts.text(tonumber(g.delivered) + 1)}
if reported ~= "" then fields[#fields + 1], fields[#fields + 2] = "reported:" .. index, reported end
if cost ~= "" then fields[#fields + 1], fields[#fields + 2] = "cost:" .. index, cost end
generations.set(g, unpack(fields))
return {"noted"}
