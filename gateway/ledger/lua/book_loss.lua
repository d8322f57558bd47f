#!lua flags=allow-oom
-- Book the cost of a job whose outputs nobody gets: it succeeded after its generation had left it or ended (R30, R31).
--
-- KEYS[1]  generation
-- Returns  {"not_found"} {"booked"}: also if this job was booked before
-- Writes   generation, margin, unarchived
--- @include "lib/keys" "lib/amounts" "lib/zones" "lib/policy" "lib/holds" "lib/generations" "lib/margin" "lib/archive"
local
  job, -- the provider's id of it
  cost -- see `lost`
  = unpack(ARGV)
local g = generations.load(string.match(KEYS[1], ":generation:(.*)$"))
if not g then return {"not_found"} end
if g["late:" .. job] then return {"booked"} end
local p, real = policy.load(), amounts.real_now()
local seen, offset = unpack(redis.call("HMGET", keys.account(g.account), "time", "offset"))
local now = math.max(tonumber(seen or 0), real + (offset or 0))
local rows, day = margin.of_loss(g, holds.decode(g.allocation), cost), zones.day(policy.rule(p, "zone"), now)

redis.call("HSET", keys.generation(g.id), "late:" .. job, cost)
archive.mark(g.account, real, g.id)
margin.add(p, day, rows)
return {"booked"}
