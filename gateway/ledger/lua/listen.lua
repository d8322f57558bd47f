#!lua
-- Make a webhook, once: one of that id that is there already is answered as it is.
--
-- KEYS[1]  webhook
-- ARGV     1 url, 2 events by commas, 3 description or "", 4 mark of its secret, 5 how many its owner may have
-- Returns  {"not_found"}: no such account {"too_many"} {"webhook", fields}
-- Writes   webhook; account, or policy for an operators' one
--- @include "lib/amounts" "lib/webhooks" "lib/listeners"
local owner, id = webhooks.named()
if not listeners.owned(owner) then return {"not_found"} end
if redis.call("EXISTS", KEYS[1]) == 1 then return {"webhook", redis.call("HGETALL", KEYS[1])} end
if #listeners.load(owner) >= tonumber(ARGV[5]) then return {"too_many"} end

redis.call(
  "HSET", KEYS[1], "url", ARGV[1], "events", ARGV[2], "description", ARGV[3], "mark", ARGV[4], "version", "1",
  "status", "active", "created_at", amounts.text(amounts.real_now()))
listeners.set(owner, id, ARGV[2])
return {"webhook", redis.call("HGETALL", KEYS[1])}
