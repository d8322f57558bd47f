-- What a failed attempt or a lapsed lease leads to: the next attempt after a pause, or the end (section 4).
--- @include "lib/keys" "lib/amounts" "lib/generations" "lib/ending"
local failing = {}
local RETRYABLE = {provider_failed = true, worker_lost = true}
local PAUSES_BEFORE = "2000,8000,30000" -- for generations created before pauses were stored with them

-- The pause after this many failures; the last one repeats.
local function pause(g, failures)
  local found
  for text in string.gmatch(g.retry_pauses or PAUSES_BEFORE, "%d+") do
    found, failures = tonumber(text), failures - 1
    if failures == 0 then break end
  end
  return found or 0
end

-- Returns {"requeued", dispatch} or the reply of an ending. `tried`, `untried`: as `settle` has them. Each provider
-- gets an attempt beyond `attempts_max`, and the first one without a pause.
function failing.run(g, code, operation, dispatch_ms, tried, untried)
  local failures = tonumber(g.failures) + 1
  local complete = g.delivered == g.outputs
  local last = failures >= generations.terms(g).attempts_max + untried
  if tried ~= "" then g.verdict = tried end
  if g.cancel_requested or complete or not RETRYABLE[code] or last then
    return ending.run(g, ending.state(g), code, operation, dispatch_ms)
  end
  local key, now = keys.generation(g.id), amounts.real_now()
  redis.call("HSET", key, "failures", amounts.text(failures), "operation", operation)
  if g.loses then redis.call("HSET", key, "lost", g.lost) end
  if code == "provider_failed" then
    generations.remove(g, "ref", "ref_attempt", "ref_at", "looked_at", "give_up_at", "keeps_limit")
    redis.call("HINCRBY", key, "submission", 1) -- the next submission is a new job, not a repetition of this one
    if tried ~= "" then generations.release(g, tried) end
  end
  return {"requeued", generations.queue(g, now, untried > 0 and 0 or now + pause(g, failures), dispatch_ms)}
end
