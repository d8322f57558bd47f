#!lua flags=allow-oom
-- Resolve an overdue generation: promote, dispatch again, retry, or fail and refund (R16, R17).
--
-- KEYS[1]  generation
-- Returns  {"not_due"} {"requeued", dispatch, dispatches of further promoted} {"ended", …}
-- Writes   generation, deadlines, totals; all that an ending writes
--- @include "lib/keys" "lib/amounts" "lib/policy" "lib/accounts" "lib/steps" "lib/generations" "lib/promotion"
--- @include "lib/ending" "lib/failing" "lib/pauses" "lib/standstill"
local
  deadline, -- as read
  judge_leases, -- "1" or "0"
  dispatch_ms, operation
  = unpack(ARGV)
local CHECK_AGAIN_MS = 60000 -- of one that is paused
local g = generations.load(string.match(KEYS[1], ":generation:(.*)$"))
local now, due = amounts.real_now(), g and redis.call("ZSCORE", keys.deadlines(), g.id)
dispatch_ms = tonumber(dispatch_ms)
if not due or tonumber(due) ~= tonumber(deadline) or tonumber(due) > now then return {"not_due"} end

local function rescued(what, reply)
  generations.count("rescue|" .. what, 1)
  return reply
end

local paused = pauses.holding(g, now, generations.providers(g))
local checked_again = paused and math.min(now + CHECK_AGAIN_MS, tonumber(paused[5]) or math.huge) -- [5]: its end

local function timed_out(code)
  return rescued(code, ending.run(g, ending.state(g), code, operation, dispatch_ms))
end

if g.state == "waiting" then
  local a = accounts.load(g.account)
  local p = policy.load(a.fields.plan)
  steps.roll(a, p)
  local gives_up_at = standstill.gives_up_at(g, now)
  if accounts.count(a, "work:" .. g.tool) >= policy.concurrency(p, a.fields.plan, g.tool) then
    if now >= gives_up_at then return timed_out("waiting_timeout") end
    -- It was marked for promotion, but others took the slots; or it was paused for a time.
    generations.set_deadline(g.id, math.max(gives_up_at, checked_again or 0))
    return {"not_due"}
  end
  local chosen = now < gives_up_at and promotion.choose(a, p, g.tool) or {g}
  if chosen[1] == g then
    accounts.add(a, "work:" .. g.tool, 1)
    accounts.add(a, "waiting:" .. g.tool, -1)
  end
  accounts.check(a)
  accounts.save(a)
  local dispatches = promotion.write(a, chosen, dispatch_ms)
  return rescued("promoted", {"requeued", table.remove(dispatches, 1), dispatches})
end
if g.state == "running" and not g.parked then
  if judge_leases ~= "1" then return {"not_due"} end
  if not g.cancel_requested and now >= tonumber(g.give_up_at) then return timed_out("provider_timeout") end
  local reply = failing.run(g, "worker_lost", operation, dispatch_ms, "", 0)
  return rescued(reply[1] == "requeued" and "retried" or "worker_lost", reply)
end
if g.ref and now >= tonumber(g.give_up_at) then return timed_out("provider_timeout") end
-- A generation in its provider's queue is not waiting for a worker: its time in the tool's queue starts now.
if g.in_line then
  g.queued_at = amounts.text(now)
  redis.call("HDEL", KEYS[1], "in_line")
  redis.call("HSET", KEYS[1], "queued_at", g.queued_at)
end
if paused then
  redis.call("HDEL", KEYS[1], "keeps_limit") -- its time at the providers starts again
  generations.set_deadline(g.id, checked_again)
  return {"not_due"}
end
if g.keeps_limit and now >= tonumber(g.give_up_at or math.huge) then return timed_out("provider_timeout") end
if not g.ref and now >= standstill.gives_up_at(g, now) then return timed_out("queue_timeout") end
generations.set_deadline(g.id, now + dispatch_ms)
return rescued("dispatched", {"requeued", generations.dispatch(g, now + dispatch_ms)})
