#!lua flags=allow-oom
-- Record the result of a try: delivered, to be retried after a pause, or given up, with the webhook paused.
--
-- KEYS[1]  webhook
-- Returns  {"stale"} {"unsure"}: an operators' webhook, and the result depends on its other copies; call again with
--          `delivered_at`
--          {"delivered"} {"again", when} {"failed"}: only this event {"paused", why or "": it was before}
-- Writes   webhook, delivery, pending, webhooks
--- @include "lib/webhook_keys" "lib/amounts" "lib/webhooks" "lib/outbox" "lib/pausing" "lib/tries"
local
  event, claim,
  outcome, -- "delivered", "failed" or "gone"
  status_code, -- or ""
  word, -- or ""
  duration_ms,
  jitter, -- in thousandths
  delivered_at -- the last successful delivery of any copy of the webhook, or ""
  = unpack(ARGV)
local owner, id = webhooks.named()
local outbox = make_outbox()
local now = amounts.real_now()
local key = webhook_keys.delivery(owner, id, event)
local d, w = tries.load(key), webhooks.load(owner, id)
if not d or not w or d.claim ~= claim then return {"stale"} end
local paused = w.status == "paused"
-- After a webhook is resumed, each event gets a full day of tries again.
local resumed = w.resumed or "0"
local failures = (d.resumed or "0") == resumed and tonumber(d.failures or 0) + 1 or 1
local since = failures > 1 and d.failing_since or amounts.text(now)
local failing_since = w.failing_since or amounts.text(now)
local pause = outcome == "failed" and tries.pause(failures, now - tonumber(since), tonumber(jitter)) or nil
if outcome == "failed" and not pause and owner == webhooks.OPERATOR and delivered_at == "" then return {"unsure"} end

local function finish(status)
  redis.call("HSET", key, "status", status)
  outbox.release(owner, id, w.status, event, now)
  outbox.trim(owner, id, w.status, now)
  outbox.index(owner, id)
  return {status}
end

redis.call("HDEL", key, "claim", "claimed_at")
tries.add(key, d, now, status_code, word, tonumber(duration_ms))
if outcome == "delivered" then
  redis.call("HSET", KEYS[1], "delivered_at", amounts.text(now))
  redis.call("HDEL", KEYS[1], "failing_since")
  redis.call("HSET", key, "delivered_at", amounts.text(now))
  return finish("delivered")
end
redis.call("HSET", KEYS[1], "failing_since", failing_since)
redis.call("HSET", key, "failures", amounts.text(failures), "resumed", resumed, "failing_since", since)
if pause then
  local at = now + pause
  outbox.schedule(owner, id, event, paused and webhooks.PARKED + at or at)
  outbox.index(owner, id)
  return paused and {"paused", ""} or {"again", amounts.text(at)}
end
-- If others were delivered meanwhile, the receiver rejects only this event. URLs named in requests are independent of
-- each other.
local last = math.max(tonumber(failing_since), tonumber(delivered_at) or 0)
local others = outcome ~= "gone" and last > tonumber(since)
if id == webhooks.DEFAULT or others then return finish("failed") end
redis.call("HDEL", key, "failures", "failing_since")
outbox.schedule(owner, id, event, now)
local why = outcome == "gone" and "gone" or "failing"
pausing.pause(w, why, now)
return {"paused", why}
