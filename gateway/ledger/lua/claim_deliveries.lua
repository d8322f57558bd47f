#!lua flags=allow-oom
-- Claim a webhook's due events for the duration of a try; if the process dies, they are due again afterwards.
--
-- KEYS[1]  webhook
-- Returns  {"nothing"} {"claimed", webhook's fields, {event, fields}, …}
-- Writes   delivery, pending, webhooks
--- @include "lib/webhook_keys" "lib/amounts" "lib/webhooks" "lib/outbox" "lib/tries"
local claim, claim_ms, limit = unpack(ARGV)
local GONE_AT_ONCE = 100 -- expired events of a webhook paused for long: they must not delay the others
local owner, id = webhooks.named()
local outbox = make_outbox()
local now, most = amounts.real_now(), tonumber(limit)
local due = redis.call(
  "ZRANGE", webhook_keys.pending(owner, id), "-inf", amounts.text(now), "BYSCORE", "LIMIT", 0, most + GONE_AT_ONCE)
local reply = {"claimed", redis.call("HGETALL", KEYS[1])}

for _, event in ipairs(due) do
  if #reply == most + 2 then break end
  local key = webhook_keys.delivery(owner, id, event)
  local d = tries.load(key)
  if d then
    if d.claim then tries.add(key, d, now, "", "interrupted", 0) end
    redis.call("HSET", key, "claim", claim, "claimed_at", amounts.text(now))
    outbox.schedule(owner, id, event, now + tonumber(claim_ms))
    reply[#reply + 1] = {event, redis.call("HGETALL", key)}
  else
    redis.call("ZREM", webhook_keys.pending(owner, id), event) -- it has expired
  end
end
outbox.index(owner, id)
return #reply > 2 and reply or {"nothing"}
