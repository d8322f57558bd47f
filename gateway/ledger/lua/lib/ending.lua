-- The only way a generation ends: commit the delivered share, or what was used of it; refund the rest; promote waiting
-- ones (R9, R10, R14, R29).
--- @include "lib/keys" "lib/amounts" "lib/policy" "lib/journal" "lib/events" "lib/accounts" "lib/holds"
--- @include "lib/refunds" "lib/steps" "lib/generations" "lib/limits" "lib/volumes" "lib/tokens" "lib/promotion"
--- @include "lib/usage" "lib/metering" "lib/zones" "lib/worths" "lib/margin"
local ending = {}
local DAY = 86400000
local RECORD = 30 * DAY -- how long a generation is kept after its end, unless its outputs are kept longer
local TRIMMED_AT_ONCE = 100
local FAILED_MAX = 2000 -- in a partition: for operators, who look at what failed lately

-- Each ending trims up to a hundred entries of a list and adds none, so a long one soon becomes short again.
local function trim(list_key, listed_from)
  local aged = redis.call("ZCOUNT", list_key, "-inf", listed_from)
  if aged > 0 then redis.call("ZREMRANGEBYRANK", list_key, 0, math.min(aged, TRIMMED_AT_ONCE) - 1) end
end

-- Everything that reads or could fail, in memory: the new account state, the entries, the promotions.
local function prepare(a, p, g, state)
  local price = tonumber(g.price)
  local plan = {price = price, committed = amounts.share(price, tonumber(g.delivered), tonumber(g.outputs))}
  if g.meters then plan.committed, plan.charged = metering.charge(g, plan.committed) end
  local shares = worths.read(g, holds.decode(g.allocation))
  local commit, refund, lapsed, revoked = refunds.close(a, p, shares, plan.committed)
  plan.margin, plan.day = margin.of_generation(g, shares, plan.committed), zones.day(policy.rule(p, "zone"), a.now)
  local entries, reason = {}, g.reason or g.because
  if plan.committed > 0 then entries[#entries + 1] = journal.add(a, a.now, "commit", commit, g) end
  if price > plan.committed then entries[#entries + 1] = journal.add(a, a.now, "refund", refund, g, reason) end
  if next(lapsed) then entries[#entries + 1] = journal.add(a, a.now, "expire", lapsed, g) end
  if next(revoked) then entries[#entries + 1] = journal.add(a, a.now, "revoke", revoked, g) end
  plan.entries = g.entries .. (#entries > 0 and "\n" or "") .. table.concat(entries, "\n")
  plan.waited = g.state == "waiting"
  accounts.add(a, (plan.waited and "waiting:" or "work:") .. g.tool, -1)
  -- A waiting one frees no slot; but if others were marked to be promoted after it, promote them now.
  local promotes = not plan.waited or promotion.marked(g)
  plan.promoted = promotes and promotion.choose(a, p, g.tool, g.id) or {}
  limits.give_back(a, g, price - plan.committed)
  volumes.give_back(a, g)
  if price == 0 then a.unarchived = g.id end -- it has no entries that name it
  accounts.check(a)
  return plan
end

-- End an open generation. `code` is the failure's, or "" if it was cancelled or has all of its outputs. Returns the
-- reply: {"ended", provider ref or "", generation fields, dispatches of the promoted}.
function ending.run(g, state, code, operation, dispatch_ms)
  if state == "cancelled" or g.delivered == g.outputs then code = "" end
  local a = accounts.load(g.account)
  local p = policy.load(a.fields.plan, "zone", "keep:usage", "keep:lists")
  steps.roll(a, p)
  local plan = prepare(a, p, g, state)
  local key, kept = keys.generation(g.id), generations.terms(g).outputs_kept
  accounts.save(a)
  tokens.spend(a.id, g.token, plan.committed - plan.price)
  local was, more = g.state, {}
  local function also(name, value)
    if value then more[#more + 1], more[#more + 2] = name, value end
  end
  also("charged", plan.charged)
  also("tried", g.verdict)
  also("lost", g.loses and g.lost)
  g.verdict, g.loses, g.reason = nil, nil, nil -- of this run: they are no fields
  generations.set(
    g, "state", state, "error", code, "operation", operation, "committed", amounts.text(plan.committed),
    "refunded", amounts.text(plan.price - plan.committed), "finished_at", amounts.text(a.real), "entries", plan.entries,
    "booked", plan.day, unpack(more))
  generations.remove(
    g, "lease_until", "give_up_at", "not_before", "parked", "looks", "looked_at", "called_back", "in_line",
    "retry_pauses", "released", "keeps_limit")
  -- With an archive it stays until it has been copied: `lib/trimming.lua`.
  if not policy.archived() then redis.call("PEXPIRE", key, amounts.text(math.max(RECORD, kept))) end
  redis.call("ZREM", keys.deadlines(), g.id)
  if plan.waited then redis.call("ZREM", keys.waiting(a.id, g.tool), g.id) end
  if tonumber(g.delivered) > 0 or g.stored_inputs then
    redis.call("ZADD", keys.outputs(), amounts.text(a.real + kept), g.id)
  end
  if state == "failed" then
    redis.call("ZADD", keys.failed(), amounts.text(a.real), g.id)
    redis.call("ZREMRANGEBYRANK", keys.failed(), 0, -FAILED_MAX - 1)
    redis.call("ZREMRANGEBYSCORE", keys.failed(), "-inf", amounts.text(a.real - RECORD))
    redis.call("PEXPIRE", keys.failed(), RECORD)
  end
  if not policy.archived() then
    local listed_from = amounts.text(a.real - policy.kept(p, "lists"))
    trim(keys.recent(a.id), listed_from)
    if g.member then trim(keys.made_by(a.id, g.member), listed_from) end
  end
  generations.count("open", -1)
  generations.count(was .. ":" .. g.tool, -1)
  generations.count("held", -plan.price)
  generations.count("outcome|" .. g.tool .. "|" .. g.model .. "|" .. state .. "|" .. code, 1)
  usage.count(a, p, g, plan.day, {
    generations = 1, outputs = tonumber(g.delivered), credits = plan.committed, refunded = plan.price - plan.committed,
    failed = state == "failed" and 1 or 0,
  })
  margin.add(p, plan.day, plan.margin)
  if a.fields.webhooks or p.webhooks or g.webhook then
    events.of_generation(g, "generation." .. state, a.fields.webhooks, p.webhooks, a.real)
  end
  local dispatches = promotion.write(a, plan.promoted, dispatch_ms)
  return {"ended", g.ref or "", generations.written(g), dispatches}
end

-- R9, section 4: succeeded means that at least one output was delivered and nobody cancelled.
function ending.state(g)
  if g.cancel_requested then return "cancelled" end
  return tonumber(g.delivered) > 0 and "succeeded" or "failed"
end
