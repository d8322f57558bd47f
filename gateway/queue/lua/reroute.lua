#!lua flags=allow-oom
-- Leave a claimed job to the workers that can call its provider: in a queue of their own, at the same place.
-- It may stand in both, if the ledger had it dispatched again meanwhile: what is left leads to a stale attempt.
--
-- KEYS[1]  the tool's queue
-- KEYS[2]  what was set aside for the provider
-- KEYS[3]  the bell of those workers
-- Returns  1, or 0: the job was in the queue no more
-- Writes   both queues, the bell, the claim
local claim_key, job, kept_seconds, wakeups_max, wakeups_seconds = unpack(ARGV)
local queue_key, rerouted_key, wakeup_key = unpack(KEYS)
local score = redis.call("ZSCORE", queue_key, job)
if score then
  redis.call("ZADD", rerouted_key, score, job)
  redis.call("EXPIRE", rerouted_key, kept_seconds)
  redis.call("ZREM", queue_key, job)
  redis.call("LPUSH", wakeup_key, 1)
  redis.call("LTRIM", wakeup_key, 0, tonumber(wakeups_max) - 1)
  redis.call("EXPIRE", wakeup_key, wakeups_seconds)
end
redis.call("DEL", claim_key) -- last: nobody finds the job free in the queue that it leaves
return score and 1 or 0
