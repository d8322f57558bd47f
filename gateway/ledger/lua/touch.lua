#!lua flags=allow-oom
-- Record when keys were last used. A key revoked meanwhile is ignored.
--
-- KEYS[1]  account
-- Returns  {"noted"}
-- Writes   account (or the operators' list, which reads alike)
--- @include "lib/amounts"
local uses = unpack(ARGV) -- `key id:how long ago in ms`, comma-separated
local now = amounts.real_now()
local noted = {}
for id, ago_ms in string.gmatch(uses, "([^:,]+):(%d+)") do
  local used_at = now - tonumber(ago_ms)
  local known = redis.call("HMGET", KEYS[1], "key:" .. id, "used:" .. id)
  if known[1] and used_at > tonumber(known[2] or 0) then noted[id] = amounts.text(used_at) end
end

for id, used_at in pairs(noted) do redis.call("HSET", KEYS[1], "used:" .. id, used_at) end
return {"noted"}
