#!lua
-- Check everything, then hold a price and make its generation, or change nothing (R6–R8, R11, R13–R15).
--
-- KEYS[1]  account
-- ARGV     1 generation, 2 operation, 3 keys version or "", 4 digest of the idempotency key or "",
--          5 digest of the request, 6 price, 7 outputs, 8 tool, 9 model, 10 pro ("1"/"0"),
--          11 settings (JSON: name → JSON text), 12 request (JSON), 13 terms without the head start,
--          14 dispatch ms, 15 stored inputs ("1"/"0"), 16 webhook's URL or ""
-- Returns  {"not_found"} {"keys_changed"} {"replayed", generation} {"key_reused"} {"subscription_required"}
--          {"plan_limit", plan, setting, value…} {"insufficient_credits", account} {"waiting_room_full", plan, limit}
--          {"reserved", its id, created at, deadline, score in the queue or "" (it waits), allocation, entry or ""}
--          {"resent", generation, dispatch or {}}: reserved before, by this very call
-- Writes   account, journal, generation, deadlines, recent, totals; waiting; idempotency
--- @include "lib/keys" "lib/amounts" "lib/policy" "lib/journal" "lib/accounts" "lib/holds" "lib/steps"
--- @include "lib/generations"
local id, operation, tool, price = ARGV[1], ARGV[2], ARGV[8], tonumber(ARGV[6])
local a = accounts.load(string.match(KEYS[1], ":account:(.*)$"))
if not a then return {"not_found"} end
if accounts.keys_changed(a, ARGV[3]) then return {"keys_changed"} end

local memory = ARGV[4] ~= "" and keys.idempotency(a.id, ARGV[4])
local remembered = memory and redis.call("GET", memory)
if remembered then
  local digest, made = string.match(remembered, "^(%S+) generation (%S+)$")
  if digest ~= ARGV[5] then return {"key_reused"} end
  id = made
end
local existing = generations.load(id)
if existing then
  -- The client re-sent this very call: answer as the first time. Else it is the caller's own retry.
  if existing.operation ~= operation then return {"replayed", generations.reply(id)} end
  local deadline = redis.call("ZSCORE", keys.deadlines(), id)
  local dispatch = existing.state == "queued" and generations.dispatch(existing, tonumber(deadline)) or {}
  return {"resent", generations.reply(id), dispatch}
end

local p = policy.load(a.fields.plan)
steps.roll(a, p)
local plan = a.fields.plan
local terms = policy.terms(p, plan)
if ARGV[10] == "1" and not plan then return {"subscription_required"} end
local limited = terms.allow[tool]
if limited then
  local settings = cjson.decode(ARGV[11])
  for name, values in pairs(limited) do
    local allowed = settings[name] == nil
    for _, value in ipairs(values) do allowed = allowed or value == settings[name] end
    if not allowed then return {"plan_limit", plan or "free", name, unpack(values)} end
  end
end
local allocation = holds.allocate(a, price)
if not allocation then return {"insufficient_credits", accounts.view(a)} end
local waits = accounts.count(a, "work:" .. tool) >= policy.concurrency(p, plan, tool)
if waits and accounts.count(a, "waiting:" .. tool) >= tonumber(terms.max_waiting) then
  return {"waiting_room_full", plan or "free", terms.max_waiting}
end
local deltas = holds.take(a, allocation, true)
local entry = price > 0 and journal.add(a, a.now, "reserve", deltas, id) or ""
local now, order = amounts.text(a.real), accounts.count(a, "order")
a.fields.order = order < a.real and now or amounts.text(order + 1)
accounts.add(a, (waits and "waiting:" or "work:") .. tool, 1)
accounts.check(a)
local place, state = a.fields.order, waits and "waiting" or "queued"
local further = waits and {} or {"queued_at", now}
if ARGV[15] == "1" then further[#further + 1], further[#further + 2] = "stored_inputs", "1" end
if ARGV[16] ~= "" then further[#further + 1], further[#further + 2] = "webhook", ARGV[16] end
if a.fields.webhooks or p.webhooks then further[#further + 1], further[#further + 2] = "listened", "1" end
local limits = ARGV[13] .. "," .. terms.head_start
local deadline = a.real + (waits and generations.terms({terms = limits}).waiting_timeout or tonumber(ARGV[14]))
local drawn = holds.encode(allocation)

accounts.save(a)
redis.call(
  "HSET", keys.generation(id), "account", a.id, "tool", tool, "model", ARGV[9], "request", ARGV[12], "terms", limits,
  "price", ARGV[6], "outputs", ARGV[7], "allocation", drawn, "state", state, "attempt", "0", "failures", "0",
  "version", "1", "delivered", "0", "created_at", now, "entries", entry, "operation", operation,
  unpack(further, 1, #further))
if waits then redis.call("ZADD", keys.waiting(a.id, tool), place, id) end
generations.look_at(id, deadline)
redis.call("ZADD", keys.recent(a.id), place, id)
if memory then redis.call("SET", memory, ARGV[5] .. " generation " .. id, "PX", 86400000) end
generations.count("open", 1)
generations.count(state .. ":" .. tool, 1)
generations.count("held", price)
local score = waits and "" or amounts.text(a.real - tonumber(terms.head_start))
return {"reserved", id, now, amounts.text(deadline), score, drawn, entry}
