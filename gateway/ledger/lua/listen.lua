#!lua
-- Create a webhook, once: an existing one with this id is returned as it is.
--
-- KEYS[1]  webhook
-- Returns  {"not_found"}: no such account {"too_many"} {"webhook", fields}
-- Writes   webhook; account, or policy for an operators' one
--- @include "lib/amounts" "lib/webhooks" "lib/listeners"
local
  url,
  event_types, -- comma-separated
  description, -- or ""
  mark, -- of its secret
  webhooks_max -- that its owner may have
  = unpack(ARGV)
local owner, id = webhooks.named()
if not listeners.owned(owner) then return {"not_found"} end
if redis.call("EXISTS", KEYS[1]) == 1 then return {"webhook", redis.call("HGETALL", KEYS[1])} end
if #listeners.load(owner) >= tonumber(webhooks_max) then return {"too_many"} end

redis.call(
  "HSET", KEYS[1], "url", url, "events", event_types, "description", description, "mark", mark, "version", "1",
  "status", "active", "created_at", amounts.text(amounts.real_now()))
listeners.set(owner, id, event_types)
return {"webhook", redis.call("HGETALL", KEYS[1])}
