#!lua flags=allow-oom
-- Keep an attempt's lease, record its progress, and say whether a cancel was asked for (R16, R17).
--
-- KEYS[1]  generation
-- ARGV     1 attempt, 2 progress in thousandths or "", 3 lease ms, 4 dispatch ms
-- Returns  {"stale"} {"ended", …} past give_up_at {"renewed", cancel requested "1"/"0"}
-- Writes   generation, deadlines; all that an ending writes
--- @include "lib/amounts" "lib/generations"
local g = generations.load(string.match(KEYS[1], ":generation:(.*)$"))
local operation = "renew " .. ARGV[1] -- the ending that this attempt's renewal makes, sent again, is answered so again
if not generations.held_by(g, ARGV[1]) then return generations.ended_by(g, operation) or {"stale"} end
local now = amounts.real_now()
if now >= tonumber(g.give_up_at) then
  -- Included here, and seen to the end of this block: a run that ends nothing, as nearly all do, is spared a hundred
  -- functions, half of its time.
--- @include "lib/ending"
  return ending.run(g, ending.state(g), "provider_timeout", operation, tonumber(ARGV[4]))
end

local lease_until = now + tonumber(ARGV[3])
redis.call("HSET", KEYS[1], "lease_until", amounts.text(lease_until))
if ARGV[2] ~= "" and ARGV[2] ~= g.progress then generations.set(g.id, "progress", ARGV[2]) end
generations.look_at(g.id, lease_until)
return {"renewed", g.cancel_requested and "1" or "0"}
