#!lua flags=allow-oom
-- Have caretakers look at queued generations now instead of at their deadlines: a pause has ended (R36).
--
-- KEYS[1]  deadlines
-- Returns  {"noted", how many}
-- Writes   deadlines
--- @include "lib/keys" "lib/amounts" "lib/generations"
local ids = unpack(ARGV) -- comma-separated
local now, due = amounts.real_now(), {}
for id in string.gmatch(ids, "[^,]+") do
  local deadline = redis.call("ZSCORE", KEYS[1], id)
  local queued = deadline and redis.call("HGET", keys.generation(id), "state") == "queued"
  if queued and tonumber(deadline) > now then due[#due + 1] = id end
end

for _, id in ipairs(due) do generations.set_deadline(id, now) end
return {"noted", amounts.text(#due)}
