#!lua flags=allow-oom
-- Move a claimed job to the queue of workers that can call its provider, with the same score.
-- It may be in both queues if the ledger has dispatched it again: the one left over leads to a stale attempt.
--
-- KEYS[1]  the tool's queue
-- KEYS[2]  rerouted jobs of the provider
-- KEYS[3]  the wake-up list of those workers
-- Returns  1, or 0 if the job was no longer in the queue
-- Writes   both queues, the wake-up list, the claim
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
redis.call("DEL", claim_key) -- last: the job must not appear unclaimed in the queue it leaves
return score and 1 or 0
