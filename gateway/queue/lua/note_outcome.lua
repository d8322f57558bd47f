#!lua flags=allow-oom
-- Open or close a provider's breaker by how one of its jobs ended. It opens after `open_after` failures in a row within
-- `within_ms`. `open_for_ms` later it takes one job, the trial, which closes it by success or opens it again.
--
-- KEYS[1]  its breaker
-- Returns  {"opened"} {"closed"} {"unchanged"}
-- Writes   its breaker
local
  generation,
  outcome, -- "succeeded", "failed", or "busy", which only counts if the trial is told so
  open_after, within_ms, open_for_ms
  = unpack(ARGV)
local KEPT = 604800 -- seconds
local breaker_key, time = KEYS[1], redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local opens, trial, failures = unpack(redis.call("HMGET", breaker_key, "until", "trial", "failures"))
open_after = tonumber(open_after)

local function open(since)
  redis.call("HSET", breaker_key, "until", string.format("%d", now + tonumber(open_for_ms)))
  if since then redis.call("HSET", breaker_key, "since", string.format("%d", since)) end
  redis.call("HDEL", breaker_key, "trial", "failures")
  redis.call("EXPIRE", breaker_key, KEPT)
  return {"opened"}
end

if opens then
  if trial ~= generation then return {"unchanged"} end -- of a job from before
  if outcome ~= "succeeded" then return open() end
  redis.call("DEL", breaker_key)
  return {"closed"}
end
if outcome == "busy" then return {"unchanged"} end
if outcome == "succeeded" then
  redis.call("DEL", breaker_key)
  return {"unchanged"}
end
local times = {string.format("%d", now)}
for at in string.gmatch(failures or "", "%d+") do
  if #times < open_after and tonumber(at) >= now - tonumber(within_ms) then times[#times + 1] = at end
end
if #times >= open_after then return open(now) end
redis.call("HSET", breaker_key, "failures", table.concat(times, ","))
redis.call("EXPIRE", breaker_key, KEPT)
return {"unchanged"}
