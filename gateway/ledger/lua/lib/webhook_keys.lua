-- The only place in Lua that builds the keys of webhooks.
--- @include "lib/keys"
local webhook_keys = {}

function webhook_keys.webhook(owner, webhook) return keys.tag .. ":webhook:" .. owner .. ":" .. webhook end
function webhook_keys.delivery(owner, webhook, event)
  return keys.tag .. ":delivery:" .. owner .. ":" .. webhook .. ":" .. event
end
function webhook_keys.deliveries(owner, webhook) return keys.tag .. ":deliveries:" .. owner .. ":" .. webhook end
function webhook_keys.pending(owner, webhook) return keys.tag .. ":pending:" .. owner .. ":" .. webhook end
function webhook_keys.webhooks() return keys.tag .. ":webhooks" end
