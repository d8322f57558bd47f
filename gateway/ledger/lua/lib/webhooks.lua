-- Webhooks and what they are yet to be told. One webhook is `owner:id`; the owner is an account, or OPERATOR.
--- @include "lib/webhook_keys"
local webhooks = {}
webhooks.OPERATOR = "*"
webhooks.DEFAULT = "default" -- tells the addresses that requests name
local DAY = 86400000
local KEPT = 30 * DAY
local LASTS = KEPT + DAY -- its keys: who trims what is too old must see what waits behind it
local AGED_AT_ONCE = 100
local HISTORY_MAX = 500 -- deliveries of a webhook: so many are kept, and of those that are pending ten times as many
local PENDING_MAX = 5000
-- A paused webhook's deliveries are due so much later than they would be: in the year 5138.
webhooks.PARKED = 100000000000000

function webhooks.load(owner, id)
  local flat = redis.call("HGETALL", keys.webhook(owner, id))
  if #flat == 0 then return nil end
  local w = {}
  for index = 1, #flat, 2 do w[flat[index]] = flat[index + 1] end
  w.owner, w.id = owner, id
  return w
end

-- The webhook of a script's KEYS[1]: owner and id.
function webhooks.named() return string.match(KEYS[1], ":webhook:([^:]+):([^:]+)$") end

-- The partition's index says when the first of what is pending is due.
function webhooks.index(owner, id)
  local first = redis.call("ZRANGE", keys.pending(owner, id), 0, 0, "WITHSCORES")
  local name = owner .. ":" .. id
  if #first == 0 then
    redis.call("ZREM", keys.webhooks(), name)
  else
    redis.call("ZADD", keys.webhooks(), first[2], name)
  end
end

-- Have an event tried at a time; `webhooks.index` must follow.
function webhooks.schedule(owner, id, event, at)
  redis.call("ZADD", keys.pending(owner, id), amounts.text(at), event)
  redis.call("PEXPIRE", keys.pending(owner, id), amounts.text(LASTS))
end

local function when(status, at) return status == "paused" and webhooks.PARKED + at or at end

-- An event is done with, one way or the other: the one that waited behind it may go.
function webhooks.release(owner, id, status, event, now)
  redis.call("ZREM", keys.pending(owner, id), event)
  local behind = redis.call("HGET", keys.delivery(owner, id, event), "behind")
  if not behind or redis.call("ZSCORE", keys.pending(owner, id), behind) then return end
  if redis.call("HGET", keys.delivery(owner, id, behind), "status") == "pending" then
    webhooks.schedule(owner, id, behind, when(status, now))
  end
end

local function forget(owner, id, status, event, now)
  webhooks.release(owner, id, status, event, now)
  redis.call("ZREM", keys.deliveries(owner, id), event)
  redis.call("DEL", keys.delivery(owner, id, event))
end

-- What is too old goes, also from `pending`. So do the oldest when there are too many; what is pending later than what
-- is done.
function webhooks.trim(owner, id, status, now)
  local aged = redis.call(
    "ZRANGE", keys.deliveries(owner, id), "-inf", amounts.text(now - KEPT), "BYSCORE", "LIMIT", 0, AGED_AT_ONCE)
  for _, event in ipairs(aged) do forget(owner, id, status, event, now) end
  for _ = 1, 2 do
    local count = redis.call("ZCARD", keys.deliveries(owner, id))
    if count <= HISTORY_MAX then return end
    local oldest = redis.call("ZRANGE", keys.deliveries(owner, id), 0, 0)[1]
    local pending = redis.call("HGET", keys.delivery(owner, id, oldest), "status") == "pending"
    if pending and count <= PENDING_MAX then return end
    forget(owner, id, status, oldest, now)
    if pending then redis.call("HINCRBY", keys.webhook(owner, id), "dropped", 1) end
  end
end

-- Add an event for a webhook: `id`, `type`, `account`, `subject`, `created_at`, `data`, `url`, and `after`: the id of
-- the one that must have been told before it.
function webhooks.add(owner, id, event, now)
  local key = keys.delivery(owner, id, event.id)
  if id == webhooks.DEFAULT then redis.call("HSETNX", keys.webhook(owner, id), "created_at", event.created_at) end
  local status = redis.call("HGET", keys.webhook(owner, id), "status")
  local flat = {
    "type", event.type, "account", event.account, "subject", event.subject, "created_at", event.created_at,
    "status", "pending",
  }
  if event.data then flat[#flat + 1], flat[#flat + 2] = "data", event.data end
  if event.url and id == webhooks.DEFAULT then flat[#flat + 1], flat[#flat + 2] = "url", event.url end
  redis.call("HSET", key, unpack(flat))
  redis.call("PEXPIRE", key, amounts.text(LASTS))
  redis.call("ZADD", keys.deliveries(owner, id), event.created_at, event.id)
  redis.call("PEXPIRE", keys.deliveries(owner, id), amounts.text(LASTS))
  if event.after and redis.call("HGET", keys.delivery(owner, id, event.after), "status") == "pending" then
    redis.call("HSET", keys.delivery(owner, id, event.after), "behind", event.id)
  else
    webhooks.schedule(owner, id, event.id, when(status, now))
  end
  webhooks.trim(owner, id, status, now)
  webhooks.index(owner, id)
end
