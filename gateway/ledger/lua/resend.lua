#!lua
-- Deliver an event again, or immediately: also to a paused webhook, and also if it was delivered before.
--
-- KEYS[1]  webhook
-- Returns  {"not_found"} {"delivery", when it is tried next, fields}
-- Writes   delivery, pending, webhooks
--- @include "lib/webhook_keys" "lib/amounts" "lib/webhooks" "lib/outbox" "lib/tries"
local event = unpack(ARGV)
local owner, id = webhooks.named()
local outbox = make_outbox()
local key, now = webhook_keys.delivery(owner, id, event), amounts.real_now()
local d = tries.load(key)
if not d then return {"not_found"} end
-- Until when it is being delivered, if it is. An expired claim blocks nothing.
local due = d.claim and redis.call("ZSCORE", webhook_keys.pending(owner, id), event) or "0"
local claimed_until = tonumber(due) % webhooks.PARKED
if claimed_until > now then
  return {"delivery", amounts.text(claimed_until), redis.call("HGETALL", key)}
end

redis.call("HSET", key, "status", "pending")
redis.call("HDEL", key, "failures", "failing_since")
outbox.schedule(owner, id, event, now)
outbox.index(owner, id)
return {"delivery", amounts.text(now), redis.call("HGETALL", key)}
