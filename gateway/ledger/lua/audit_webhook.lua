#!lua flags=no-writes
-- A webhook, whether its owner lists it, and which of its oldest pending events no longer have a due time.
--
-- KEYS[1]  webhook
-- Returns  {"gone"} {"webhook", listed "1"/"0", in the index "…" or "", first of pending "…" or "", {event, what}, …}:
--          what is "lost" (pending without a due time) or "done" (due, but not pending)
-- Writes   nothing
--- @include "lib/webhook_keys" "lib/amounts" "lib/webhooks" "lib/listeners"
local limit = unpack(ARGV) -- of deliveries
local owner, id = webhooks.named()
if redis.call("EXISTS", KEYS[1]) == 0 then return {"gone"} end
local listed = id == webhooks.DEFAULT
for _, one in ipairs(listeners.load(owner)) do listed = listed or one[1] == id end
local index = redis.call("ZSCORE", webhook_keys.webhooks(), owner .. ":" .. id)
local first = redis.call("ZRANGE", webhook_keys.pending(owner, id), 0, 0, "WITHSCORES")[2]
-- Pending events of a paused webhook are kept for a month; after that, index entries without them are no problem.
if index and not first and tonumber(index) >= webhooks.PARKED then index = nil end
local reply = {
  "webhook", listed and "1" or "0", index and amounts.text(tonumber(index)) or "",
  first and amounts.text(tonumber(first)) or "",
}
-- Read all before judging any: of two in one millisecond, the waiting one may be listed first.
local found, waits = {}, {}
for index, event in ipairs(redis.call("ZRANGE", webhook_keys.deliveries(owner, id), 0, limit - 1)) do
  local d = redis.call("HMGET", webhook_keys.delivery(owner, id, event), "status", "behind")
  if d[1] == "pending" and d[2] then waits[d[2]] = true end
  found[index] = {event, d[1], redis.call("ZSCORE", webhook_keys.pending(owner, id), event)}
end
for _, one in ipairs(found) do
  local event, status, due = one[1], one[2], one[3]
  if status == "pending" and not due and not waits[event] then reply[#reply + 1] = {event, "lost"} end
  if status and status ~= "pending" and due then reply[#reply + 1] = {event, "done"} end
end
return reply
