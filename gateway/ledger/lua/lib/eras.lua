-- Paid periods in order of time. An era is a series of monthly cycles from one anchor. A subscription has a second era
-- if its cycles restarted, as after a trial or a change of interval. Each line of a paid invoice belongs to one era.
--- @include "lib/calendar" "lib/periods" "lib/entitlements"
local eras = {}

-- Whether a whole period starts a new era: it overlaps the previous one, or does not align with its months.
local function begins(list, line)
  local era = list[#list]
  if not era then return true end
  local again = line.from < era.paid - periods.NEAR and line.from > era.latest + periods.NEAR
  return again or not periods.index(era.at, line.from)
end

-- The era that a partial period belongs to: the previous one, if money is returned just as a new one starts.
local function of_part(list, line)
  local found = list[1]
  for _, era in ipairs(list) do
    if era.at < line.from or (era.at == line.from and line.amount >= 0) then found = era end
  end
  return found
end

local function of_subscription(b, p, s)
  local list, parts = {}, {}
  for _, line in ipairs(s.lines) do
    if line.amount >= 0 and (not line.proration or (#list == 0 and line.amount > 0)) then
      if begins(list, line) then
        local anchor = #list == 0 and s.started and periods.index(s.started, line.from) and s.started or line.from
        list[#list + 1] = {sub = s, at = anchor, paid = 0, latest = 0, months = 1, cycles = {}, set = {}, lines = {}}
      end
      local era = list[#list]
      era.paid, era.latest = math.max(era.paid, line.to), line.from
      if line.proration then
        parts[#parts + 1] = line
      else
        era.months, era.lines[#era.lines + 1] = periods.months(line), line
        entitlements.of_period(b, p, s, era, line)
      end
    else
      parts[#parts + 1] = line
    end
  end
  for _, line in ipairs(parts) do
    local era = of_part(list, line)
    if era then
      entitlements.of_part(b, p, s, era, line)
      if line.amount > 0 then era.paid = math.max(era.paid, line.to) end
      era.lines[#era.lines + 1] = line
    end
  end
  for _, era in ipairs(list) do
    table.sort(era.lines, function(one, other)
      if one.from ~= other.from then return one.from < other.from end
      if (one.proration or false) ~= (other.proration or false) then return not one.proration end
      return one.id < other.id
    end)
    local waits = not s.status or s.status == "active" or s.status == "trialing" or s.status == "past_due"
    era.waits, era.stops = waits, s.ended or (s.cancel > 0 and s.cancel or nil)
    local last = era.lines[#era.lines]
    era.plan = last.terms and last.terms.plan or s.bought
  end
  return list
end

-- All eras in order. The last is the one in force, because a new purchase replaces an old one.
function eras.all(b, p)
  local list = {}
  for _, s in pairs(b.subs) do
    for _, era in ipairs(of_subscription(b, p, s)) do list[#list + 1] = era end
  end
  table.sort(list, function(one, other)
    if one.sub.started ~= other.sub.started then return one.sub.started < other.sub.started end
    if one.sub.id ~= other.sub.id then return one.sub.id < other.sub.id end
    return one.at < other.at
  end)
  return list
end

-- What is due in the cycle of a subscription that starts near `at`: {paid, left}, neither below zero; and how many
-- cents were paid for it, or nil. Cycles of a replaced era that had not started when it was replaced are no longer due.
function eras.due(list, s, at)
  local paid, left, cents = 0, 0, 0
  for position, era in ipairs(list) do
    local index = era.sub == s and periods.index(era.at, at)
    local following = list[position + 1]
    local sum = index and era.cycles[index]
    if sum and (not following or index <= calendar.cycle(era.at, math.max(following.at, era.at))) then
      paid, left, cents = paid + sum.paid, left + sum.left, cents and sum.cents and cents + sum.cents
    end
  end
  return math.max(0, paid), math.max(0, left), cents or nil
end

-- When the plan of an era ends without a further payment: after the grace period, unless the provider has given up
-- collecting it.
function eras.ends(era, grace) return math.min(era.stops or math.huge, era.paid + (era.waits and grace or 0)) end

-- Whether its plan is in force at `now`, or waits for the next payment.
function eras.alive(era, now, grace) return eras.ends(era, grace) > now end

-- The paid subscriptions that a newer one has replaced and the provider still renews.
function eras.superseded(list)
  local found, seen = {}, {}
  for _, era in ipairs(list) do
    local s = era.sub
    if s ~= list[#list].sub and not seen[s.id] and not s.ended then found[#found + 1] = s.id end
    seen[s.id] = true
  end
  return found
end
