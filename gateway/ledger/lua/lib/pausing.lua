-- A paused webhook gets no automatic tries: its pending events are due in the year 5138, in order.
--- @include "lib/webhook_keys" "lib/amounts" "lib/webhooks" "lib/outbox"
local pausing = {}
local CHUNK = 2000 -- `unpack` takes fewer than 8000 values

local function moved(w, change)
  local key = webhook_keys.pending(w.owner, w.id)
  local flat = redis.call("ZRANGE", key, 0, -1, "WITHSCORES")
  local members = {}
  for index = 1, #flat, 2 do
    local at = change(tonumber(flat[index + 1]), #flat - index)
    members[#members + 1], members[#members + 2] = amounts.text(at), flat[index]
  end
  for first = 1, #members, CHUNK do
    redis.call("ZADD", key, unpack(members, first, math.min(first + CHUNK - 1, #members)))
  end
  make_outbox().index(w.owner, w.id)
end

-- `because`: "failing", "gone" or "asked".
function pausing.pause(w, because, now)
  redis.call(
    "HSET", webhook_keys.webhook(w.owner, w.id), "status", "paused", "paused_at", amounts.text(now), "because", because)
  moved(w, function(at) return at < webhooks.PARKED and webhooks.PARKED + at or at end)
end

-- All pending events are due now, in order, with a full day of tries.
function pausing.resume(w, now)
  local key = webhook_keys.webhook(w.owner, w.id)
  redis.call("HSET", key, "status", "active")
  redis.call("HDEL", key, "paused_at", "because", "failing_since")
  redis.call("HINCRBY", key, "resumed", 1)
  moved(w, function(at, behind) return at >= webhooks.PARKED and now - behind or at end)
end
