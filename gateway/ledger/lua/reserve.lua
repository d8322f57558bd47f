#!lua
-- Check everything, then hold a price and create its generation, or change nothing (R6–R8, R11, R13–R15, R26, R36).
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"keys_changed"} {"replayed", generation} {"key_reused"}
--          {"paused", kind, name, since, "refuse", end or "", reason} {"subscription_required"}
--          {"plan_limit", plan, setting, value…} {"priced_otherwise", plan, factors, account's now, clock's offset}
--          {"volume_moved", how many were ordered} {"insufficient_credits", account}
--          {"limit_reached", whose, limit, period, used, resets at or ""} {"waiting_room_full", plan, limit}
--          {"reserved", its id, deadline, score in the queue or "" (not now), the fields that were decided here}
--          {"resent", generation, dispatch or {}}: reserved before, by this very call
-- Writes   account, journal, generation, deadlines, recent, made_by, totals; waiting; idempotency; token
--- @include "lib/keys" "lib/amounts" "lib/policy" "lib/journal" "lib/accounts" "lib/holds" "lib/steps"
--- @include "lib/generations" "lib/limits" "lib/tokens" "lib/pauses" "lib/pricing" "lib/volumes"
local
  generation, operation,
  keys_version, -- or "": do not check
  key, -- the API key's id, or ""
  retried_member, -- whose generation is retried, or "": its key may have been revoked
  token, -- the client token's, or ""
  key_digest, request_digest, price, tool, model, -- the first: of the idempotency key, or ""
  basis, volume, -- what the price was made for: `lib/pricing.lua`, `lib/volumes.lua`
  providers, pro, -- comma-separated; "1" or "0"
  settings, request, -- JSON; the first: name → JSON text
  terms, kept_ms, -- without what the plan decides; how long outputs are kept, unless it says otherwise
  fields, -- the others, which are only stored (JSON: field, value, …)
  dispatch_ms
  = unpack(ARGV)
local CHECK_AGAIN_MS, id = 60000, generation -- the time is of one that is paused: it is not dispatched
price = tonumber(price)
local a = accounts.load(string.match(KEYS[1], ":account:(.*)$"))
if not a then return {"not_found"} end
if accounts.keys_changed(a, keys_version) then return {"keys_changed"} end
local memory = key_digest ~= "" and keys.idempotency(a.id, key_digest)
local remembered = memory and redis.call("GET", memory)
if remembered then
  local digest, made = string.match(remembered, "^(%S+) generation (%S+)$")
  if digest ~= request_digest then return {"key_reused"} end
  id = made
end
local existing, paused = generations.load(id), pauses.of(a.real, a.id, a.fields.pause, tool, model, providers)
if existing then
  -- The Redis client re-sent this call: reply as the first time. Otherwise it is the caller's retry.
  if existing.operation ~= operation then return {"replayed", generations.reply(id)} end
  local deadline = redis.call("ZSCORE", keys.deadlines(), id)
  local starts = existing.state == "queued" and not paused
  return {"resent", generations.reply(id), starts and generations.dispatch(existing, tonumber(deadline)) or {}}
end

if paused and paused[4] == "refuse" then return {"paused", unpack(paused)} end
local p = policy.load(a.fields.plan, "outputs:" .. (a.fields.plan or "free"))
steps.roll(a, p)
local plan, own = a.fields.plan, policy.terms(p, a.fields.plan)
if pro == "1" and not plan then return {"subscription_required"} end
local limited = own.allow[tool]
if limited then
  settings = cjson.decode(settings)
  for name, values in pairs(limited) do
    local allowed = settings[name] == nil
    for _, value in ipairs(values) do allowed = allowed or value == settings[name] end
    if not allowed then return {"plan_limit", plan or "free", name, unpack(values)} end
  end
end
local otherwise = pricing.otherwise(a, plan, basis)
if otherwise then return otherwise end
local ordered_on, moved = volumes.count(a, p, model, volume)
if moved then return moved end
local allocation = holds.allocate(a, price)
if not allocation then return {"insufficient_credits", accounts.view(a)} end
local member = a.fields["of:" .. key] or retried_member ~= "" and retried_member or nil -- whose key it is, or was
local counted, limited_by = limits.count(a, p, key, member, price)
if not counted then return limited_by end
local spent_up = tokens.refusal(a.id, token, price)
if spent_up then return spent_up end
local waits = accounts.count(a, "work:" .. tool) >= policy.concurrency(p, plan, tool)
if waits and accounts.count(a, "waiting:" .. tool) >= tonumber(own.max_waiting) then
  return {"waiting_room_full", plan or "free", own.max_waiting}
end
local deltas, by = holds.take(a, allocation, true), {id = id, key = key ~= "" and key, member = member}
local entry = price > 0 and journal.add(a, a.now, "reserve", deltas, by) or ""
local now, order = amounts.text(a.real), accounts.count(a, "order")
a.fields.order = order < a.real and now or amounts.text(order + 1)
accounts.add(a, (waits and "waiting:" or "work:") .. tool, 1)
accounts.check(a, keys_version ~= "" and key)
local place, state, limits = a.fields.order, waits and "waiting" or "queued", policy.limits(p, plan, terms, kept_ms)
local decided = {
  "account", a.id, "state", state, "created_at", now, "allocation", holds.encode(allocation), "entries", entry,
}
if not waits then decided[#decided + 1], decided[#decided + 2] = "queued_at", now end
if member then decided[#decided + 1], decided[#decided + 2] = "member", member end
holds.note_worths(a, allocation, decided)
if ordered_on ~= "" then decided[#decided + 1], decided[#decided + 2] = "volume", ordered_on end
if counted ~= "" then decided[#decided + 1], decided[#decided + 2] = "counted", counted end
if a.fields.webhooks or p.webhooks then decided[#decided + 1], decided[#decided + 2] = "listened", "1" end
local stored = cjson.decode(fields)
for _, text in ipairs(decided) do stored[#stored + 1] = text end
local check_at = a.real + (paused and CHECK_AGAIN_MS or tonumber(dispatch_ms))
if paused then check_at = math.min(check_at, tonumber(paused[5]) or math.huge) end -- [5]: its end
local deadline = waits and a.real + generations.terms({terms = limits}).waiting_timeout or check_at

accounts.save(a)
tokens.spend(a.id, token, price)
redis.call("HSET", keys.generation(id), "request", request, "terms", limits, unpack(stored))
if waits then redis.call("ZADD", keys.waiting(a.id, tool), place, id) end
generations.set_deadline(id, deadline)
redis.call("ZADD", keys.recent(a.id), place, id)
if member then generations.list(keys.made_by(a.id, member), place, id, policy.kept(p, "lists")) end
if memory then redis.call("SET", memory, request_digest .. " generation " .. id, "PX", 86400000) end
generations.count("open", 1)
generations.count(state .. ":" .. tool, 1)
generations.count("held", price)
local score = (waits or paused) and "" or amounts.text(a.real - tonumber(own.head_start))
return {"reserved", id, amounts.text(deadline), score, decided}
