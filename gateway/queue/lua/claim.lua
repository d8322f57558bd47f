#!lua flags=allow-oom
-- Claim the first due jobs without a claim, skipping claimed jobs that have not started, whose worker may have died.
-- Jobs are due by this Redis's clock: a worker whose own clock is hours behind would silently find nothing.
-- A claimed rerouted job moves back to the tool's queue, so that it is handled like any other job from here on.
--
-- KEYS     the tool's queue, its wake-up list; then the same for each provider that the worker can call
-- Returns  {job, its text or "", …}
-- Writes   claims; queue entries; wake-up lists, which are emptied when no job is left
local claim_prefix, job_prefix, limit, claim_ms = unpack(ARGV)
limit = math.max(1, tonumber(limit)) -- with less, the loop would not end
local queue_key = KEYS[1]
local time = redis.call("TIME")
local now = string.format("%d", time[1] * 1000 + math.floor(time[2] / 1000))

local free = {}
for at = 1, #KEYS, 2 do
  local offset, found = 0, 0
  repeat
    local due = redis.call("ZRANGE", KEYS[at], "-inf", now, "BYSCORE", "LIMIT", offset, limit, "WITHSCORES")
    for each = 1, #due, 2 do
      if found < limit and redis.call("EXISTS", claim_prefix .. due[each]) == 0 then
        found = found + 1
        free[#free + 1] = {job = due[each], score = due[each + 1], key = KEYS[at]}
      end
    end
    offset = offset + limit
  until found == limit or #due < 2 * limit
end
if #KEYS > 2 then
  table.sort(free, function(one, other) return tonumber(one.score) < tonumber(other.score) end)
end

local claimed, reply = 0, {}
for _, place in ipairs(free) do
  if claimed < limit and redis.call("SET", claim_prefix .. place.job, "1", "NX", "PX", claim_ms) then
    claimed = claimed + 1
    reply[#reply + 1] = place.job
    local text = redis.pcall("GET", job_prefix .. place.job) -- `pcall`: nothing after the claim can fail
    reply[#reply + 1] = type(text) == "string" and text or ""
    if place.key ~= queue_key then
      redis.call("ZREM", place.key, place.job)
      redis.call("ZADD", queue_key, place.score, place.job)
    end
  end
end
if claimed > 0 and claimed < limit then
  for at = 2, #KEYS, 2 do redis.call("DEL", KEYS[at]) end
end
return reply
