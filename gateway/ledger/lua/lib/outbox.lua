-- Pending webhook events. A function that creates the library when there is an event to write: most scripts
-- have none, and save creating eight functions.
--- @include "lib/webhook_keys" "lib/amounts" "lib/webhooks"
local function make_outbox()
  local DAY = 86400000
  local KEPT = 30 * DAY
  local LASTS = KEPT + DAY -- TTL of its keys: trimming must still see what waits behind an expired event
  local AGED_AT_ONCE = 100
  local HISTORY_MAX = 500 -- deliveries kept per webhook; ten times as many if pending
  local PENDING_MAX = 5000
  local outbox = {}

  -- The partition's index has the time at which the first pending event is due.
  function outbox.index(owner, id)
    local first = redis.call("ZRANGE", webhook_keys.pending(owner, id), 0, 0, "WITHSCORES")
    local name = owner .. ":" .. id
    if #first == 0 then
      redis.call("ZREM", webhook_keys.webhooks(), name)
    else
      redis.call("ZADD", webhook_keys.webhooks(), first[2], name)
    end
  end

  -- Schedule a try of an event; `outbox.index` must follow.
  function outbox.schedule(owner, id, event, at)
    redis.call("ZADD", webhook_keys.pending(owner, id), amounts.text(at), event)
    redis.call("PEXPIRE", webhook_keys.pending(owner, id), amounts.text(LASTS))
  end

  local function when(status, at) return status == "paused" and webhooks.PARKED + at or at end

  -- An event is finished, delivered or failed: the one waiting for it can be delivered.
  function outbox.release(owner, id, status, event, now)
    redis.call("ZREM", webhook_keys.pending(owner, id), event)
    local behind = redis.call("HGET", webhook_keys.delivery(owner, id, event), "behind")
    if not behind or redis.call("ZSCORE", webhook_keys.pending(owner, id), behind) then return end
    if redis.call("HGET", webhook_keys.delivery(owner, id, behind), "status") == "pending" then
      outbox.schedule(owner, id, behind, when(status, now))
    end
  end

  local function forget(owner, id, status, event, now)
    outbox.release(owner, id, status, event, now)
    redis.call("ZREM", webhook_keys.deliveries(owner, id), event)
    redis.call("DEL", webhook_keys.delivery(owner, id, event))
  end

  -- Delete expired events, also pending ones, and the oldest if there are too many: finished ones first.
  function outbox.trim(owner, id, status, now)
    local key, too_old = webhook_keys.deliveries(owner, id), amounts.text(now - KEPT)
    local aged = redis.call("ZRANGE", key, "-inf", too_old, "BYSCORE", "LIMIT", 0, AGED_AT_ONCE)
    for _, event in ipairs(aged) do forget(owner, id, status, event, now) end
    for _ = 1, 2 do
      local count = redis.call("ZCARD", key)
      if count <= HISTORY_MAX then return end
      local oldest = redis.call("ZRANGE", key, 0, 0)[1]
      local pending = redis.call("HGET", webhook_keys.delivery(owner, id, oldest), "status") == "pending"
      if pending and count <= PENDING_MAX then return end
      forget(owner, id, status, oldest, now)
      if pending then redis.call("HINCRBY", webhook_keys.webhook(owner, id), "dropped", 1) end
    end
  end

  -- Add an event for a webhook: `id`, `type`, `account`, `subject`, `created_at`, `data`, `url` and its `form`, and
  -- `after`: the id of the one that must be delivered before it.
  function outbox.add(owner, id, event, now)
    local key = webhook_keys.delivery(owner, id, event.id)
    local webhook_key = webhook_keys.webhook(owner, id)
    if id == webhooks.DEFAULT then redis.call("HSETNX", webhook_key, "created_at", event.created_at) end
    local status = redis.call("HGET", webhook_key, "status")
    local flat = {
      "type", event.type, "account", event.account, "subject", event.subject, "created_at", event.created_at,
      "status", "pending",
    }
    if event.data then flat[#flat + 1], flat[#flat + 2] = "data", event.data end
    if event.url and id == webhooks.DEFAULT then
      flat[#flat + 1], flat[#flat + 2] = "url", event.url
      if event.form then flat[#flat + 1], flat[#flat + 2] = "form", event.form end
    end
    redis.call("HSET", key, unpack(flat))
    redis.call("PEXPIRE", key, amounts.text(LASTS))
    redis.call("ZADD", webhook_keys.deliveries(owner, id), event.created_at, event.id)
    redis.call("PEXPIRE", webhook_keys.deliveries(owner, id), amounts.text(LASTS))
    if event.after and redis.call("HGET", webhook_keys.delivery(owner, id, event.after), "status") == "pending" then
      redis.call("HSET", webhook_keys.delivery(owner, id, event.after), "behind", event.id)
    else
      outbox.schedule(owner, id, event.id, when(status, now))
    end
    outbox.trim(owner, id, status, now)
    outbox.index(owner, id)
  end

  return outbox
end
