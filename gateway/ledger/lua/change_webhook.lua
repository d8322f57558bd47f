#!lua
-- Change a webhook; pause it, or have a paused one go on with all that it was not told.
--
-- KEYS[1]  webhook
-- ARGV     1 url or "", 2 events by commas or "", 3 description with a "=" before it or "",
--          4 status ("active" | "paused") or "", 5 why it is paused
-- Returns  {"not_found"} {"webhook", fields}
-- Writes   webhook, pending, webhooks; account, or policy for an operators' one
--- @include "lib/amounts" "lib/webhooks" "lib/listeners" "lib/pausing"
local owner, id = webhooks.named()
local w = webhooks.load(owner, id)
if not w then return {"not_found"} end
local now, flat = amounts.real_now(), {}
local given = {url = ARGV[1], events = ARGV[2]}
if ARGV[3] ~= "" then given.description = string.sub(ARGV[3], 2) end

for name, value in pairs(given) do
  if value ~= "" or name == "description" then flat[#flat + 1], flat[#flat + 2] = name, value end
end
if #flat > 0 then redis.call("HSET", KEYS[1], unpack(flat)) end
if ARGV[2] ~= "" then listeners.set(owner, id, ARGV[2]) end
if ARGV[4] == "active" and w.status == "paused" then pausing.resume(w, now) end
if ARGV[4] == "paused" and w.status == "active" then pausing.pause(w, ARGV[5], now) end
return {"webhook", redis.call("HGETALL", KEYS[1])}
