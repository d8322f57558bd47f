#!lua flags=allow-oom
-- Claim the first due jobs that nobody has, looking past those that were claimed and not begun, perhaps by the dead.
-- What is due is so by this Redis's clock: a worker whose own is hours behind would find nothing, and say nothing.
-- A job that was set aside goes back to the tool's queue, claimed: whatever follows is as with any other job.
--
-- KEYS     the tool's queue, its bell; then the same for each provider that the worker can call
-- Returns  {job, its text or "", …}
-- Writes   claims; places in the queue; bells, which have nothing to ring for when no job is left
local claim_prefix, job_prefix, limit, claim_ms = unpack(ARGV)
limit = tonumber(limit)
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
