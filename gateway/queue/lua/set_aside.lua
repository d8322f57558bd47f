#!lua flags=allow-oom
-- Leave a claimed job to the workers that can call its provider: in a queue of their own, at the same place.
-- It may stand in both, if the ledger had it dispatched again meanwhile: what is left leads to a stale attempt.
--
-- KEYS[1]  the tool's queue
-- KEYS[2]  what was set aside for the provider
-- KEYS[3]  the bell of those workers
-- Returns  1, or 0: the job was in the queue no more
-- Writes   both queues, the bell, the claim
local claim_key, job, kept_seconds, bell_max, bell_seconds = unpack(ARGV)
local queue_key, aside_key, bell_key = unpack(KEYS)
local score = redis.call("ZSCORE", queue_key, job)
if score then
  redis.call("ZADD", aside_key, score, job)
  redis.call("EXPIRE", aside_key, kept_seconds)
  redis.call("ZREM", queue_key, job)
  redis.call("LPUSH", bell_key, 1)
  redis.call("LTRIM", bell_key, 0, tonumber(bell_max) - 1)
  redis.call("EXPIRE", bell_key, bell_seconds)
end
redis.call("DEL", claim_key) -- last: nobody finds the job free in the queue that it leaves
return score and 1 or 0
