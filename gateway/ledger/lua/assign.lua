#!lua flags=allow-oom
-- Choose another provider for the next attempt of a queued generation: none may have a job of it (R30).
--
-- KEYS[1]  generation
-- Returns  {"stale"} {"noted"}
-- Writes   generation
--- @include "lib/generations"
local
  attempt, -- the next one
  old, -- how the request begins: with its provider, and what that calls the model
  new -- … with the other provider
  = unpack(ARGV)
local g = generations.load(string.match(KEYS[1], ":generation:(.*)$"))
if not g or g.state ~= "queued" or tonumber(g.attempt) + 1 ~= tonumber(attempt) then return {"stale"} end
if g.ref or (g.released or "0") ~= g.attempt then error(g.id .. " may have a job at its provider") end

if string.sub(g.request, 1, #old) == old then
  redis.call("HSET", KEYS[1], "request", new .. string.sub(g.request, #old + 1))
elseif string.sub(g.request, 1, #new) ~= new then -- it was not sent twice: another worker has chosen
  return {"stale"}
end
return {"noted"}
