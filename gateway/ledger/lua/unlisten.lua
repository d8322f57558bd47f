#!lua flags=allow-oom
-- Delete a webhook and all its data.
--
-- KEYS[1]  webhook
-- Returns  {"not_found"} {"deleted"}
-- Writes   webhook, its deliveries, pending, webhooks; account, or policy for an operators' one
--- @include "lib/webhook_keys" "lib/webhooks" "lib/listeners"
local owner, id = webhooks.named()
if redis.call("EXISTS", KEYS[1]) == 0 then return {"not_found"} end

for _, event in ipairs(redis.call("ZRANGE", webhook_keys.deliveries(owner, id), 0, -1)) do
  redis.call("UNLINK", webhook_keys.delivery(owner, id, event))
end
redis.call("UNLINK", KEYS[1], webhook_keys.deliveries(owner, id), webhook_keys.pending(owner, id))
redis.call("ZREM", webhook_keys.webhooks(), owner .. ":" .. id)
listeners.set(owner, id, nil)
return {"deleted"}
