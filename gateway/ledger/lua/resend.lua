#!lua
-- Have an event told once more, or at once: also to a webhook that is paused, and also if it was told before.
--
-- KEYS[1]  webhook
-- ARGV     1 event
-- Returns  {"not_found"} {"delivery", when it is tried next, fields}
-- Writes   delivery, pending, webhooks
--- @include "lib/keys" "lib/amounts" "lib/webhooks" "lib/tries"
local owner, id = webhooks.named()
local key, now = keys.delivery(owner, id, ARGV[1]), amounts.real_now()
local d = tries.load(key)
if not d then return {"not_found"} end
-- Until when it is on its way, if it is. A claim that has run out keeps nobody.
local due = d.claim and redis.call("ZSCORE", keys.pending(owner, id), ARGV[1]) or "0"
local claimed_until = tonumber(due) % webhooks.PARKED
if claimed_until > now then
  return {"delivery", amounts.text(claimed_until), redis.call("HGETALL", key)}
end

redis.call("HSET", key, "status", "pending")
redis.call("HDEL", key, "failures", "failing_since")
webhooks.schedule(owner, id, ARGV[1], now)
webhooks.index(owner, id)
return {"delivery", amounts.text(now), redis.call("HGETALL", key)}
