-- The slots of a provider, each with an expiry, and the queue of generations waiting for one. KEYS of a script that
-- includes this: the slots, that queue, what to dispatch when each of them gets a slot, the provider's breaker, and the
-- jobs it was given in each second.
local slots = {}
local slots_key, queue_key, dispatches_key, breaker_key, requests_key = unpack(KEYS)
local AT_ONCE = 100 -- per script; the caretakers' next check continues
local MINUTE = 60 -- seconds

-- Drop lapsed slots. Every script calls this first, with the provider's limits: jobs at a time, new jobs a minute (or
-- nothing), whether it has a breaker; comma-separated.
function slots.expire(limits)
  local limit, per_minute, has_breaker = string.match(limits, "^(%d+),(%d*),([01])$")
  local time = redis.call("TIME")
  slots.now = time[1] * 1000 + math.floor(time[2] / 1000)
  slots.second = tonumber(time[1])
  slots.limit, slots.per_minute, slots.has_breaker = tonumber(limit), tonumber(per_minute), has_breaker == "1"
  redis.call("ZREMRANGEBYSCORE", slots_key, "-inf", string.format("%d", slots.now))
end

function slots.has(generation) return redis.call("ZSCORE", slots_key, generation) end

-- How many jobs it was given in the last minute.
local function requests()
  local flat, sum, old = redis.call("HGETALL", requests_key), 0, {}
  for index = 1, #flat, 2 do
    if tonumber(flat[index]) > slots.second - MINUTE then
      sum = sum + tonumber(flat[index + 1])
    else
      old[#old + 1] = flat[index]
    end
  end
  if #old > 0 then redis.call("HDEL", requests_key, unpack(old)) end
  return sum
end

-- Why it takes no other job now: "open", its breaker; "full"; "rate"; nil if it does. Once its breaker has been open
-- for long enough, it takes one job at a time, the trial, until one of them succeeds.
function slots.refusal()
  local opens, trial = unpack(redis.call("HMGET", breaker_key, "until", "trial"))
  slots.trying = slots.has_breaker and opens
  if slots.trying and (slots.now < tonumber(opens) or (trial and slots.has(trial))) then return "open" end
  if redis.call("ZCARD", slots_key) >= slots.limit then return "full" end
  if slots.per_minute and requests() >= slots.per_minute then return "rate" end
end

function slots.keep(generation, ms)
  redis.call("ZADD", slots_key, string.format("%d", slots.now + tonumber(ms)), generation)
  redis.call("EXPIRE", slots_key, 86400)
end

-- Count a job that it is given now.
function slots.count()
  requests()
  redis.call("HINCRBY", requests_key, string.format("%d", slots.second), 1)
  redis.call("EXPIRE", requests_key, 2 * MINUTE)
end

-- Give it a slot for a new job, after `refusal` found none.
function slots.start(generation, ms)
  slots.keep(generation, ms)
  slots.count()
  if slots.trying then redis.call("HSET", breaker_key, "trial", generation) end
end

function slots.free(generation) redis.call("ZREM", slots_key, generation) end

function slots.enqueue(generation, score, dispatch)
  redis.call("ZADD", queue_key, score, generation)
  redis.call("HSET", dispatches_key, generation, dispatch)
  redis.call("EXPIRE", queue_key, 172800)
  redis.call("EXPIRE", dispatches_key, 172800)
end

-- Do not dispatch it when it gets its slot: it is already being handled.
function slots.dispatch_no_more(generation)
  if redis.call("HEXISTS", dispatches_key, generation) == 1 then redis.call("HSET", dispatches_key, generation, "") end
end

function slots.dequeue(generation)
  redis.call("ZREM", queue_key, generation)
  redis.call("HDEL", dispatches_key, generation)
end

-- Give free slots to the first in the queue, and append what to dispatch to `reply`.
function slots.fill(kept_ms, reply)
  local left = redis.call("EXISTS", queue_key) == 1 and AT_ONCE or 0
  while left > 0 and not slots.refusal() do
    local first = redis.call("ZPOPMIN", queue_key)[1]
    if not first then break end
    local dispatch = redis.call("HGET", dispatches_key, first)
    redis.call("HDEL", dispatches_key, first)
    if dispatch then
      slots.start(first, kept_ms)
      if dispatch ~= "" then reply[#reply + 1] = dispatch end
      left = left - 1
    end
  end
  return reply
end
