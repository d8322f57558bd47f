-- The only place in Lua where the keys of webhooks are spelled: apart from the others, for few scripts need them.
function keys.webhook(owner, webhook) return tag .. ":webhook:" .. owner .. ":" .. webhook end
function keys.delivery(owner, webhook, event) return tag .. ":delivery:" .. owner .. ":" .. webhook .. ":" .. event end
function keys.deliveries(owner, webhook) return tag .. ":deliveries:" .. owner .. ":" .. webhook end
function keys.pending(owner, webhook) return tag .. ":pending:" .. owner .. ":" .. webhook end
function keys.webhooks() return tag .. ":webhooks" end
