#!lua flags=allow-oom
-- Take what is due of a webhook, for as long as a try may take; whoever is killed meanwhile leaves it due again.
--
-- KEYS[1]  webhook
-- Returns  {"nothing"} {"claimed", webhook's fields, {event, fields}, …}
-- Writes   delivery, pending, webhooks
--- @include "lib/webhook_keys" "lib/amounts" "lib/webhooks" "lib/outbox" "lib/tries"
local claim, claim_ms, limit = unpack(ARGV)
local GONE_AT_ONCE = 100 -- of a webhook that was paused for a month: one by one they would hold up what is there
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
    redis.call("ZREM", webhook_keys.pending(owner, id), event) -- it was kept for as long as anything is
  end
end
outbox.index(owner, id)
return #reply > 2 and reply or {"nothing"}
