#!lua flags=allow-oom
-- Renew an attempt's lease, record its progress, and return whether a cancel was requested (R16, R17).
--
-- KEYS[1]  generation
-- Returns  {"stale"} {"ended", …} past give_up_at {"renewed", cancel requested "1"/"0"}
-- Writes   generation, deadlines; all that an ending writes
--- @include "lib/amounts" "lib/generations"
local
  attempt,
  progress, -- in thousandths, or ""
  lease_ms, dispatch_ms
  = unpack(ARGV)
local g = generations.load(string.match(KEYS[1], ":generation:(.*)$"))
local operation = "renew " .. attempt -- so that an ending by this renewal, sent again, gets the same reply
if not generations.held_by(g, attempt) then return generations.ended_by(g, operation) or {"stale"} end
local now = amounts.real_now()
if now >= tonumber(g.give_up_at) then
  -- Included here, with the scope of this block: a run that ends nothing, as nearly all do, saves creating a hundred
  -- functions, half of its time.
--- @include "lib/ending"
  return ending.run(g, ending.state(g), "provider_timeout", operation, tonumber(dispatch_ms))
end

local lease_until = now + tonumber(lease_ms)
redis.call("HSET", KEYS[1], "lease_until", amounts.text(lease_until))
if progress ~= "" and progress ~= g.progress then generations.set(g, "progress", progress) end
generations.set_deadline(g.id, lease_until)
return {"renewed", g.cancel_requested and "1" or "0"}
