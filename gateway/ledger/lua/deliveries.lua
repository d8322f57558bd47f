#!lua flags=no-writes
-- A page of a webhook's deliveries, newest first.
--
-- KEYS[1]  webhook
-- Returns  {"not_found"} {"page", {event, when it is tried next or "", fields}, …}: up to one more than the limit
-- Writes   nothing
--- @include "lib/webhook_keys" "lib/amounts" "lib/webhooks"
local
  limit,
  before_at, -- when it happened, or ""
  before_event -- or ""
  = unpack(ARGV)
local owner, id = webhooks.named()
if redis.call("EXISTS", KEYS[1]) == 0 then return {"not_found"} end
local key, reply = webhook_keys.deliveries(owner, id), {"page"}
limit = tonumber(limit)
-- Several may share a millisecond: those on the previous page are skipped.
local same = before_at ~= "" and redis.call("ZCOUNT", key, before_at, before_at) or 0
local from = before_at ~= "" and before_at or "+inf"
local found = redis.call("ZRANGE", key, from, "-inf", "BYSCORE", "REV", "LIMIT", 0, limit + 1 + same, "WITHSCORES")
for index = 1, #found, 2 do
  local event, at = found[index], found[index + 1]
  local flat = redis.call("HGETALL", webhook_keys.delivery(owner, id, event))
  if #flat > 0 and (tonumber(at) ~= tonumber(before_at) or event < before_event) and #reply <= limit + 1 then
    local score = redis.call("ZSCORE", webhook_keys.pending(owner, id), event)
    local due = score and tonumber(score) < webhooks.PARKED and amounts.text(tonumber(score)) or ""
    reply[#reply + 1] = {event, due, flat}
  end
end
return reply
