#!lua
-- Change a webhook; pause it, or resume it with all pending events.
--
-- KEYS[1]  webhook
-- Returns  {"not_found"} {"webhook", fields}
-- Writes   webhook, pending, webhooks; account, or policy for an operators' one
--- @include "lib/amounts" "lib/webhooks" "lib/listeners" "lib/pausing" "lib/archive"
local
  url, -- or ""
  event_types, -- comma-separated, or ""
  description, -- with a "=" before it, or ""
  status, -- "active", "paused" or ""
  because -- why it is paused
  = unpack(ARGV)
local owner, id = webhooks.named()
local w = webhooks.load(owner, id)
if not w then return {"not_found"} end
local now, flat = amounts.real_now(), {}
local given = {url = url, events = event_types}
if description ~= "" then given.description = string.sub(description, 2) end

for name, value in pairs(given) do
  if value ~= "" or name == "description" then flat[#flat + 1], flat[#flat + 2] = name, value end
end
if #flat > 0 then redis.call("HSET", KEYS[1], unpack(flat)) end
if owner ~= webhooks.OPERATOR then archive.mark(owner, now) end
if event_types ~= "" then listeners.set(owner, id, event_types) end
if status == "active" and w.status == "paused" then pausing.resume(w, now) end
if status == "paused" and w.status == "active" then pausing.pause(w, because, now) end
return {"webhook", redis.call("HGETALL", KEYS[1])}
