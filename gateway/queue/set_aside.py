"""Jobs whose provider the worker that claimed them cannot call: it lacks the key, and another may have it.

Such a job is moved, once, from the tool's queue to one that only those claim from who can call the provider. They claim
from both, in one order. What is claimed from there is put back into the tool's queue, claimed: whatever follows (it
begins, it is given back, its worker dies) is as with any other job. A job may stand in both, if the ledger had it
dispatched again meanwhile: it is claimed once, and the place that is left leads to a stale attempt.
"""

from __future__ import annotations

_KEPT_SECONDS = 48 * 3600  # as long as arq keeps a job
_BELL_SECONDS = 3600
_BELL_MAX = 64

# Claims the first due jobs that nobody has, looking past those that were claimed and not begun (perhaps by the dead).
# KEYS are the tool's queue and its bell, then the same for each provider that the worker can call. What is due is so by
# this Redis's clock: a worker whose own is hours behind would find nothing, and say nothing. When none is left, the
# bells have nothing to ring for. Of each job it tells the id and the text: "" if it has none.
CLAIM = """
local queue, claim_of, job_of = KEYS[1], ARGV[1], ARGV[2]
local limit, claim_ms = tonumber(ARGV[3]), ARGV[4]
local time = redis.call("TIME")
local now = string.format("%d", time[1] * 1000 + math.floor(time[2] / 1000))
local free = {}

local function look(set)
  local offset, found = 0, 0
  repeat
    local due = redis.call("ZRANGE", set, "-inf", now, "BYSCORE", "LIMIT", offset, limit, "WITHSCORES")
    for at = 1, #due, 2 do
      if found < limit and redis.call("EXISTS", claim_of .. due[at]) == 0 then
        found = found + 1
        free[#free + 1] = {job = due[at], score = due[at + 1], set = set}
      end
    end
    offset = offset + limit
  until found == limit or #due < 2 * limit
end

for at = 1, #KEYS, 2 do look(KEYS[at]) end
if #KEYS > 2 then
  table.sort(free, function(one, other) return tonumber(one.score) < tonumber(other.score) end)
end
local claimed, reply = 0, {}
for _, place in ipairs(free) do
  if claimed < limit and redis.call("SET", claim_of .. place.job, "1", "NX", "PX", claim_ms) then
    claimed = claimed + 1
    reply[#reply + 1] = place.job
    reply[#reply + 1] = redis.call("GET", job_of .. place.job) or ""
    if place.set ~= queue then
      redis.call("ZREM", place.set, place.job)
      redis.call("ZADD", queue, place.score, place.job)
    end
  end
end
if claimed > 0 and claimed < limit then
  for at = 2, #KEYS, 2 do redis.call("DEL", KEYS[at]) end
end
return reply
"""

# The claim goes last: nobody finds the job free in the queue that it leaves.
SET_ASIDE = f"""
local queue, aside, bell = KEYS[1], KEYS[2], KEYS[3]
local claim_of, job = ARGV[1], ARGV[2]
local score = redis.call("ZSCORE", queue, job)
if score then
  redis.call("ZADD", aside, score, job)
  redis.call("EXPIRE", aside, {_KEPT_SECONDS})
  redis.call("ZREM", queue, job)
  redis.call("LPUSH", bell, 1)
  redis.call("LTRIM", bell, 0, {_BELL_MAX - 1})
  redis.call("EXPIRE", bell, {_BELL_SECONDS})
end
redis.call("DEL", claim_of .. job)
return score and 1 or 0
"""
