#!lua flags=allow-oom
-- Give an attempt the lease, if it is the one the generation expects: a job queued twice is harmless (R16, R17).
--
-- KEYS[1]  generation
-- Returns  {"stale"} {"paused", kind, name, since, what happens to new ones, end or "", reason}
--          {"too_early", not before} {"ended", …} past give_up_at {"begun", generation}
-- Writes   generation, deadlines, totals; all that an ending writes; what tells webhooks
--- @include "lib/amounts" "lib/events" "lib/generations" "lib/pauses"
local attempt, operation, lease_ms, dispatch_ms = unpack(ARGV)
local id = string.match(KEYS[1], ":generation:(.*)$")
local g = generations.load(id)
if not g then return {"stale"} end
if generations.held_by(g, attempt) and g.operation == operation then return {"begun", generations.reply(id)} end
local again = generations.ended_by(g, operation)
if again then return again end
if not (g.state == "queued" or (g.state == "running" and g.parked)) then return {"stale"} end
if tonumber(g.attempt) + 1 ~= tonumber(attempt) then return {"stale"} end
local now = amounts.real_now()
local paused = pauses.holding(g, now, generations.provider(g.request))
if paused then return {"paused", unpack(paused)} end
if tonumber(g.not_before or 0) > now then return {"too_early", g.not_before} end
-- A resumed attempt keeps the first one's `give_up_at`, as does one that goes from provider to provider; otherwise one
-- without a ref starts a new job with a new limit.
local kept = (g.ref or g.keeps_limit) and g.give_up_at
if kept and now >= tonumber(kept) then
  -- Included here, with the scope of this block: a run that ends nothing, as nearly all do, saves creating a hundred
  -- functions, half of its time.
--- @include "lib/ending"
  return ending.run(g, ending.state(g), "provider_timeout", operation, tonumber(dispatch_ms))
end

local give_up_at = kept or amounts.text(now + generations.terms(g).provider_timeout)
local waited, first = g.state == "queued", not g.started_at
local lease_until = amounts.text(now + tonumber(lease_ms))
generations.set(
  g, "state", "running", "attempt", attempt, "operation", operation, "lease_until", lease_until,
  "give_up_at", give_up_at, "started_at", g.started_at or amounts.text(now))
generations.remove(g, "parked", "not_before", "called_back", "in_line")
generations.set_deadline(id, tonumber(lease_until))
if waited then
  generations.count("queued:" .. g.tool, -1)
  generations.count("running:" .. g.tool, 1)
end
if first and (g.listened or g.webhook) then events.of_begun(g, now) end
return {"begun", generations.written(g)}
