#!lua
-- Give a webhook its next secret. The previous one also signs for a day; older ones no longer do.
--
-- KEYS[1]  webhook
-- Returns  {"not_found"} {"webhook", fields}
-- Writes   webhook
--- @include "lib/amounts" "lib/webhooks" "lib/listeners" "lib/archive"
local
  operation,
  version, -- the next
  mark -- of the next secret
  = unpack(ARGV)
local owner, id = webhooks.named()
local made = id == webhooks.DEFAULT and owner ~= webhooks.OPERATOR and listeners.owned(owner)
local known = redis.call("HMGET", KEYS[1], "created_at", "version")
if not (known[1] or made) then return {"not_found"} end
-- It was already rotated by this operation, or by another one in the meantime.
if tonumber(known[2] or 0) >= tonumber(version) then return {"webhook", redis.call("HGETALL", KEYS[1])} end

local now = amounts.text(amounts.real_now())
redis.call("HSETNX", KEYS[1], "created_at", now)
redis.call("HSET", KEYS[1], "version", version, "rotated_at", now, "rotation", operation, "mark", mark)
if owner ~= webhooks.OPERATOR then archive.mark(owner, tonumber(now)) end
return {"webhook", redis.call("HGETALL", KEYS[1])}
