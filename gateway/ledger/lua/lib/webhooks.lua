-- Webhooks. One webhook is `owner:id`; the owner is an account, or OPERATOR.
--- @include "lib/webhook_keys"
local webhooks = {OPERATOR = "*"}
webhooks.DEFAULT = "default" -- delivers to the URLs that requests name
-- Added to the due time of a paused webhook's deliveries: the year 5138.
webhooks.PARKED = 100000000000000

function webhooks.load(owner, id)
  local flat = redis.call("HGETALL", webhook_keys.webhook(owner, id))
  if #flat == 0 then return nil end
  local w = {}
  for index = 1, #flat, 2 do w[flat[index]] = flat[index + 1] end
  w.owner, w.id = owner, id
  return w
end

-- The webhook of a script's KEYS[1]: owner and id.
function webhooks.named() return string.match(KEYS[1], ":webhook:([^:]+):([^:]+)$") end
