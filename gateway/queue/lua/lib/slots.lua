-- The slots of a provider, each with an expiry, and the queue of generations waiting for one. KEYS of a script that
-- includes this: the slots, that queue, and what to dispatch when each of them gets a slot.
local slots = {}
local slots_key, queue_key, dispatches_key = unpack(KEYS)
local AT_ONCE = 100 -- per script; the caretakers' next check continues

-- Drop lapsed slots. Every script calls this first.
function slots.expire()
  local time = redis.call("TIME")
  slots.now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call("ZREMRANGEBYSCORE", slots_key, "-inf", string.format("%d", slots.now))
end

function slots.has_room(limit) return redis.call("ZCARD", slots_key) < tonumber(limit) end

function slots.has(generation) return redis.call("ZSCORE", slots_key, generation) end

function slots.keep(generation, ms)
  redis.call("ZADD", slots_key, string.format("%d", slots.now + tonumber(ms)), generation)
  redis.call("EXPIRE", slots_key, 86400)
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
function slots.fill(limit, kept_ms, reply)
  local left = AT_ONCE
  while left > 0 and slots.has_room(limit) do
    local first = redis.call("ZPOPMIN", queue_key)[1]
    if not first then break end
    local dispatch = redis.call("HGET", dispatches_key, first)
    redis.call("HDEL", dispatches_key, first)
    if dispatch then
      slots.keep(first, kept_ms)
      if dispatch ~= "" then reply[#reply + 1] = dispatch end
      left = left - 1
    end
  end
  return reply
end
