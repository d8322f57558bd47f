#!lua flags=allow-oom
-- What became of a try: done, to be tried again after a pause, or given up with the webhook paused.
--
-- KEYS[1]  webhook
-- ARGV     1 event, 2 claim, 3 what came of it ("delivered" | "failed" | "gone"), 4 status code or "", 5 word or "",
--          6 how long it took in ms, 7 jitter in thousandths
-- Returns  {"stale"} {"delivered"} {"again", when} {"failed"}: given up alone {"paused"}
-- Writes   webhook, delivery, pending, webhooks
--- @include "lib/keys" "lib/amounts" "lib/webhooks" "lib/tries" "lib/pausing"
local owner, id = webhooks.named()
local event, outcome, now = ARGV[1], ARGV[3], amounts.real_now()
local key = keys.delivery(owner, id, event)
local d, w = tries.load(key), webhooks.load(owner, id)
if not d or not w or d.claim ~= ARGV[2] then return {"stale"} end
local paused = w.status == "paused"

local function finish(status)
  redis.call("HSET", key, "status", status)
  webhooks.release(owner, id, w.status, event, now)
  webhooks.trim(owner, id, w.status, now)
  webhooks.index(owner, id)
  return {status}
end

redis.call("HDEL", key, "claim", "claimed_at")
tries.add(key, d, now, ARGV[4], ARGV[5], tonumber(ARGV[6]))
if outcome == "delivered" then
  redis.call("HSET", KEYS[1], "delivered_at", amounts.text(now))
  redis.call("HDEL", KEYS[1], "failing_since")
  redis.call("HSET", key, "delivered_at", amounts.text(now))
  return finish("delivered")
end
-- A webhook that was resumed gives each a whole day of tries again.
local resumed = w.resumed or "0"
local failures = (d.resumed or "0") == resumed and tonumber(d.failures or 0) + 1 or 1
local since = failures > 1 and d.failing_since or amounts.text(now)
local failing_since = w.failing_since or amounts.text(now)
redis.call("HSET", KEYS[1], "failing_since", failing_since)
redis.call("HSET", key, "failures", amounts.text(failures), "resumed", resumed, "failing_since", since)
local pause = outcome ~= "gone" and tries.pause(failures, tonumber(ARGV[7])) or nil
if pause then
  local at = now + pause
  webhooks.schedule(owner, id, event, paused and webhooks.PARKED + at or at)
  webhooks.index(owner, id)
  return paused and {"paused"} or {"again", amounts.text(at)}
end
-- Where others got through meanwhile, it is this one that the receiver will not have. Each address of a request stands
-- for itself.
local others = outcome ~= "gone" and tonumber(failing_since) > tonumber(since)
if id == webhooks.DEFAULT or others then return finish("failed") end
redis.call("HDEL", key, "failures", "failing_since")
webhooks.schedule(owner, id, event, now)
pausing.pause(w, outcome == "gone" and "gone" or "failing", now)
return {"paused"}
