-- A payment provider's facts about an account's subscriptions. They merge in any order, and each counts once: the
-- earliest start and end, the latest status and cancellation, every plan that was seen and when, every line of a paid
-- invoice, and what was refunded of an invoice. `gateway/ledger/README.md` describes the fields.
--- @include "lib/keys" "lib/amounts" "lib/legacy_billing"
local billing = {}
local KEPT = 400 * 86400000
local LINES_MAX = 500 -- of an account: renewals make 13 in 400 days, and each change of plan two

function billing.load(account)
  local b = {account = account, raw = {}, fields = {}, subs = {}, new = {}, unknown = {}}
  local flat = redis.call("HGETALL", keys.billing(account))
  for index = 1, #flat, 2 do b.raw[flat[index]], b.fields[flat[index]] = flat[index + 1], flat[index + 1] end
  return b
end

-- Write what has changed since it was read; names and values stay together.
function billing.save(b)
  local key, set, removed, chunk = keys.billing(b.account), {}, {}, 2000
  for name, value in pairs(b.fields) do
    if b.raw[name] ~= value then set[#set + 1], set[#set + 2] = name, value end
  end
  for name in pairs(b.raw) do
    if not b.fields[name] then removed[#removed + 1] = name end
  end
  for first = 1, #set, chunk do redis.call("HSET", key, unpack(set, first, math.min(first + chunk - 1, #set))) end
  for first = 1, #removed, chunk do
    redis.call("HDEL", key, unpack(removed, first, math.min(first + chunk - 1, #removed)))
  end
  redis.call("PEXPIRE", key, KEPT)
end

-- Keep the one of two values that `choose` (math.min or math.max) prefers.
local function note(b, field, value, choose)
  local known = tonumber(b.fields[field])
  if value then b.fields[field] = amounts.text(known and choose(known, value) or value) end
end

-- `at,what`: the latest counts; of two at the same time the greater, so that their order does not matter.
local function note_latest(b, field, at, what)
  local known_at, known = string.match(b.fields[field] or "-1,", "^(-?%d+),(.*)$")
  known_at = tonumber(known_at)
  local later = at > known_at
  if at == known_at then
    local one, other = tonumber(what), tonumber(known)
    if one and other then later = one > other else later = what > known end
  end
  if later then b.fields[field] = amounts.text(at) .. "," .. what end
end

-- A price id stands for one plan. One seen with two plans is ignored.
local function note_price(b, id, price, plan)
  local field = id .. "|price|" .. price
  local known = b.fields[field]
  b.fields[field] = (not known or known == plan) and plan or "?"
end

function billing.migrate(a, b) legacy_billing.migrate(a, b) end

-- Whether there is room for these facts: every event reads all lines, so their number is limited.
local function has_room(b, id, said)
  local count, more = 0, 0
  for name in pairs(b.fields) do
    if string.find(name, "|line|", 1, true) then count = count + 1 end
  end
  for _, line in ipairs(said.lines or {}) do
    if not b.fields[id .. "|line|" .. line.id] then more = more + 1 end
  end
  return more == 0 or count + more <= LINES_MAX
end

-- Add the facts in memory; `billing.save` writes them. Returns false, and adds nothing, if the lines have no room.
function billing.merge(b, id, bought, said)
  if not has_room(b, id, said) then return false end
  local of = id .. "|"
  b.fields[of .. "bought"] = bought
  note(b, of .. "started", said.started, math.min)
  note(b, of .. "ended", said.ended, math.min)
  for _, line in ipairs(said.lines or {}) do
    local field = of .. "line|" .. line.id
    if not b.fields[field] and not legacy_billing.covers(b, id, line) then
      b.new[#b.new + 1] = line.id
      b.fields[field] = cjson.encode(line)
    end
  end
  for _, one in ipairs(said.returned or {}) do
    local part = amounts.text(one.part) .. "/" .. amounts.text(one.whole)
    note_latest(b, of .. "returned|" .. one.invoice .. "|" .. one.source, one.at, part)
  end
  if not said.seen then return true end
  note_latest(b, of .. "cancel", said.seen, amounts.text(said.cancelled_to or 0))
  if said.status then note_latest(b, of .. "status", said.seen, said.status) end
  if not said.plan then return true end
  local field, seen = of .. "seen|" .. amounts.text(said.seen), said.plan .. "," .. (said.interval or "")
  if not b.fields[field] or seen > b.fields[field] then b.fields[field] = seen end
  if said.price then note_price(b, id, said.price, said.plan) end
  return true
end
