-- What a payment provider said of an account's subscriptions, and what follows from it. Facts merge in any order: the
-- least start, the largest payment, the first and last time that a plan was seen, the latest cancellation, the one end.
-- Fields `<subscription>|started`, `|paid`, `|ended`, `|failed`, `|bought` (plan,interval), `|cancel` (seen,at),
-- `|first|<plan>,<interval>` and `|last|…`; and of what was done: `applied` (a segment's key), `applied_at`,
-- `applied_cancel`, `<subscription>|reached` (paid through), `left|<segment>` (the grant that its change left,
-- `=` and what a lapse took of it, or "-").
local billing = {}
local KEPT = 400 * 86400000

function billing.load(account)
  local b, flat = {account = account, fields = {}}, redis.call("HGETALL", keys.billing(account))
  for index = 1, #flat, 2 do b.fields[flat[index]] = flat[index + 1] end
  return b
end

function billing.save(b)
  local key, flat = keys.billing(b.account), {}
  for name, value in pairs(b.fields) do
    flat[#flat + 1] = name
    flat[#flat + 1] = value
  end
  redis.call("DEL", key)
  redis.call("HSET", key, unpack(flat))
  redis.call("PEXPIRE", key, KEPT)
end

-- Keep the one of two values that `choose` (math.min or math.max) prefers.
function billing.note(b, subscription, name, value, choose)
  local field = subscription .. "|" .. name
  local known = tonumber(b.fields[field])
  if value then b.fields[field] = amounts.text(known and choose(known, value) or value) end
end

-- The plan and interval that a subscription had when it was seen.
function billing.note_plan(b, subscription, plan, interval, seen)
  billing.note(b, subscription, "first|" .. plan .. "," .. interval, seen, math.min)
  billing.note(b, subscription, "last|" .. plan .. "," .. interval, seen, math.max)
end

-- A cancellation or its undoing (at nil): the latest word counts.
function billing.note_cancel(b, subscription, seen, at)
  local field = subscription .. "|cancel"
  local known_seen, known_at = string.match(b.fields[field] or "0,0", "^(%d+),(%d+)$")
  known_seen, known_at = tonumber(known_seen), tonumber(known_at)
  if seen > known_seen or (seen == known_seen and (at or 0) > known_at) then
    b.fields[field] = amounts.text(seen) .. "," .. amounts.text(at or 0)
  end
end

local function segment(b, subscription, plan, interval)
  local function value(name) return tonumber(b.fields[subscription .. "|" .. name]) end
  local cancel = tonumber(string.match(b.fields[subscription .. "|cancel"] or "", ",(%d+)$") or 0)
  local named = plan .. "," .. interval
  return {
    key = subscription .. ":" .. named, subscription = subscription, plan = plan, interval = interval,
    at = value("first|" .. named), last = value("last|" .. named) or value("started"),
    started = value("started"), paid = value("paid"),
    stops = value("ended") or (cancel > 0 and cancel or nil),
  }
end

-- Each plan of each paid subscription, in order; the last is the one in force: the last seen of the newest
-- subscription, because a new purchase takes the place of an old one.
function billing.segments(b)
  local list = {}
  for name in pairs(b.fields) do
    local subscription, plan, interval = string.match(name, "^([^|]+)|first|([^,]+),(%a+)$")
    if subscription then
      local one = segment(b, subscription, plan, interval)
      if one.started and one.paid then list[#list + 1] = one end
    end
  end
  table.sort(list, function(one, other)
    for _, by in ipairs({"started", "subscription", "last", "at"}) do
      if one[by] ~= other[by] then return one[by] < other[by] end
    end
    return one.key < other.key
  end)
  return list
end

-- Whether its plan is in force at `now`, or waits for the next payment.
function billing.alive(one, now, grace) return one.paid + grace > now and (not one.stops or one.stops > now) end

-- When the credits end that a change left of a segment: with the cycle it was in when the next one began; never after
-- the subscription itself had run out (then there was nothing left).
local function left_until(one, following, grace)
  local ran_out = math.min(one.stops or math.huge, one.paid + grace)
  local expires = calendar.add_months(one.at, calendar.cycle(one.at, following.at) + 1)
  return ran_out < following.at and ran_out or expires
end

-- R12 for changes whose events come late or out of order: what they left is there as if they had come in time.
function billing.settle_leftovers(a, p, b, list, grace)
  if policy.rule(p, "leftover") ~= "1" then return end
  for index = 1, #list - 1 do
    local one = list[index]
    local field, expires = "left|" .. one.key, left_until(one, list[index + 1], grace)
    local known, terms = b.fields[field], policy.terms(p, one.plan)
    local grant = known and grants.find(a, known)
    local lapsed, monthly = string.match(known or "", "^=(%d+)$"), terms and terms.monthly
    local missing = tonumber(known and lapsed or not known and monthly or 0)
    if grant then
      grant.expires = expires
    elseif missing > 0 and expires > a.now then
      b.fields[field] = grants.add(a, "m", "s", missing, expires).id
      journal.add(a, a.now, "refresh", {s = {missing, 0}}, nil, one.plan .. ", paid for before its change")
    end
    b.fields[field] = b.fields[field] or "-"
  end
end

-- Before a lapse: what it takes of each segment. If it turns out that a newer subscription had begun before this one
-- ended, this was no lapse but a change, and its leftovers come back.
function billing.remember_lapsed(a, b, list)
  for _, one in ipairs(list) do
    local field = "left|" .. one.key
    local grant = grants.find(a, one.key == b.fields.applied and a.fields.monthly or b.fields[field])
    if grant then b.fields[field] = "=" .. amounts.text(grant.available) end
  end
end

-- The paid subscriptions that a newer one has taken the place of, and that the provider still renews.
function billing.superseded(b, list)
  local found, seen = {}, {}
  for _, one in ipairs(list) do
    local id = one.subscription
    if id ~= list[#list].subscription and not seen[id] and not b.fields[id .. "|ended"] then found[#found + 1] = id end
    seen[id] = true
  end
  return found
end
