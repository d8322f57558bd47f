-- What a failed attempt or a lapsed lease leads to: the next attempt after a pause, or the end (section 4).
--- @include "lib/keys" "lib/amounts" "lib/generations" "lib/ending"
local failing = {}
local RETRYABLE = {provider_failed = true, worker_lost = true}
local PAUSES = {2000, 8000, 30000}

-- Returns {"requeued", dispatch} or the reply of an ending.
function failing.run(g, code, operation, dispatch_ms)
  local failures = tonumber(g.failures) + 1
  local complete = g.delivered == g.outputs
  if g.cancel_requested or complete or not RETRYABLE[code] or failures >= generations.terms(g).attempts_max then
    return ending.run(g, ending.state(g), code, operation, dispatch_ms)
  end
  local key, now = keys.generation(g.id), amounts.real_now()
  redis.call("HSET", key, "failures", amounts.text(failures), "operation", operation)
  if code == "provider_failed" then
    redis.call("HDEL", key, "ref", "ref_attempt", "ref_at", "looked_at", "give_up_at")
    redis.call("HINCRBY", key, "submission", 1) -- what is submitted next is another job, not this one again
  end
  return {"requeued", generations.queue(g, now, now + PAUSES[math.min(failures, #PAUSES)], dispatch_ms)}
end
