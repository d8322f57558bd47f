-- What was paid for, by time. An era is a row of monthly cycles from one anchor: a subscription has a second where its
-- cycles began anew, as after a trial or where its interval changed. Each line of a paid invoice falls into one.
local eras = {}
local DAY = 86400000
local MONTH = 2629800000 -- 30.4375 days
eras.NEAR = 5 * DAY -- a payment's period and a calendar month differ by less
local CYCLES_MAX = 60

-- Which cycle of an era begins at `at`, give or take five days; nil: none.
function eras.index(anchor, at)
  local index = calendar.cycle(anchor, at + eras.NEAR)
  return index >= 0 and math.abs(calendar.add_months(anchor, index) - at) <= eras.NEAR and index or nil
end

local function months_of(line) return math.max(1, math.floor((line.to - line.from) / MONTH + 0.5)) end

-- How much of an invoice's money is still there. A refund and a dispute of the rest add up.
local function kept(s, line)
  local back, whole = 0, 1
  for _, one in ipairs(s.returned[line.invoice] or {}) do
    if one.whole == whole then
      back = back + one.part
    else
      back, whole = back * one.whole + one.part * whole, whole * one.whole
    end
  end
  return math.max(0, whole - back), whole
end

-- What is left of a line's credits once what went back of its invoice is taken off.
local function less_returned(s, line, amount)
  local left, whole = kept(s, line)
  return amount > 0 and amounts.share(amount, left, whole) or -amounts.share_up(-amount, left, whole)
end

local function put(era, index, paid, left)
  local sum = era.cycles[index] or {paid = 0, left = 0}
  era.cycles[index] = sum
  sum.paid, sum.left = sum.paid + paid, sum.left + left
end

-- A whole period: the plan's whole allotment in each of its months. It is set, not added to: a second payment for the
-- same period gives nothing more.
local function whole(b, p, s, era, line)
  local months, first = months_of(line), eras.index(era.at, line.from)
  local terms, sure = plans.terms(b, p, s, line, months)
  if not terms or line.amount <= 0 then return end
  local amount = terms.monthly
  -- What is not sure to be the plan's price, or is for less than a month, is worth its money.
  if terms.price and (not sure or line.to - line.from < MONTH - eras.NEAR) then
    amount = amounts.share(amount, math.min(line.gross, terms.price), terms.price)
  end
  local left = less_returned(s, line, amount)
  for index = first, first + math.min(months, CYCLES_MAX) - 1 do
    local key = string.format("%s,%d,%d", terms.plan, line.from, index)
    local set = era.set[key] or {paid = 0, left = 0}
    put(era, index, math.max(0, amount - set.paid), math.max(0, left - set.left))
    era.set[key] = {paid = math.max(amount, set.paid), left = math.max(left, set.left)}
  end
end

-- The share of one cycle that a change pays for, or gives back: by its money, and never more than by its time.
-- What goes back is the larger of the two.
local function share(terms, line, overlap, length, whole_line)
  local by_time, by_money, money = terms.monthly, nil, math.abs(line.amount)
  if line.amount > 0 then
    by_time = amounts.share(terms.monthly, overlap, length)
    if terms.price and not line.foreign then
      local part = amounts.share(money * terms.months, overlap, whole_line)
      by_money = amounts.share(terms.monthly, math.min(part, terms.price), terms.price)
    end
    return math.min(by_time, by_money or by_time)
  end
  by_time = amounts.share_up(terms.monthly, overlap, length)
  if terms.price and not line.foreign then
    local part = amounts.share_up(money * terms.months, overlap, whole_line)
    by_money = amounts.share_up(terms.monthly, math.min(part, terms.price), terms.price)
  end
  return -math.max(by_time, by_money or 0)
end

-- Times in seconds, so that products stay exact.
local function seconds(from, to) return math.floor((to - from) / 1000) end

-- A part of a period. What is billed after it is over pays in the cycle in which it is billed.
local function part(b, p, s, era, line)
  local months = 1
  for _, one in ipairs(era.lines) do
    if not one.proration and one.from <= line.from then months = months_of(one) end
  end
  local terms = plans.terms(b, p, s, line, months)
  if not terms or line.amount == 0 or line.to <= line.from then return end
  local late = line.amount > 0 and line.billed >= line.to and math.max(0, calendar.cycle(era.at, line.billed))
  local first = math.max(0, calendar.cycle(era.at, line.from))
  for index = first, first + CYCLES_MAX do
    local from, to = calendar.add_months(era.at, index), calendar.add_months(era.at, index + 1)
    local overlap = math.min(line.to, to) - math.max(line.from, from)
    if overlap <= 0 then break end
    local amount = share(terms, line, seconds(0, overlap), seconds(from, to), seconds(line.from, line.to))
    if amount ~= 0 then put(era, late or index, amount, less_returned(s, line, amount)) end
  end
end

local function begins(list, line)
  local era = list[#list]
  if not era then return true end
  local again = line.from < era.paid - eras.NEAR and line.from > era.latest + eras.NEAR
  return again or not eras.index(era.at, line.from)
end

-- The era whose plan a part of a period is about: the one before, where money goes back as a new one begins.
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
        local anchor = #list == 0 and s.started and eras.index(s.started, line.from) and s.started or line.from
        list[#list + 1] = {sub = s, at = anchor, paid = 0, latest = 0, months = 1, cycles = {}, set = {}, lines = {}}
      end
      local era = list[#list]
      era.paid, era.latest = math.max(era.paid, line.to), line.from
      if line.proration then
        parts[#parts + 1] = line
      else
        era.months, era.lines[#era.lines + 1] = months_of(line), line
        whole(b, p, s, era, line)
      end
    else
      parts[#parts + 1] = line
    end
  end
  for _, line in ipairs(parts) do
    local era = of_part(list, line)
    if era then
      part(b, p, s, era, line)
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

-- All eras in order. The last is the one in force, because a new purchase takes the place of an old one.
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

-- What is due in the cycle of a subscription that begins near `at`: {paid, left}, neither below zero. Of an era that
-- another took the place of, cycles that had not begun by then are not due any more.
function eras.due(list, s, at)
  local paid, left = 0, 0
  for position, era in ipairs(list) do
    local index = era.sub == s and eras.index(era.at, at)
    local following = list[position + 1]
    local sum = index and era.cycles[index]
    if sum and (not following or index <= calendar.cycle(era.at, math.max(following.at, era.at))) then
      paid, left = paid + sum.paid, left + sum.left
    end
  end
  return math.max(0, paid), math.max(0, left)
end

-- When the plan of an era ends if no payment comes: a day's grace, unless the provider has given the payment up.
function eras.ends(era, grace) return math.min(era.stops or math.huge, era.paid + (era.waits and grace or 0)) end

-- Whether its plan is in force at `now`, or waits for the next payment.
function eras.alive(era, now, grace) return eras.ends(era, grace) > now end

-- The paid subscriptions that a newer one has taken the place of, and that the provider still renews.
function eras.superseded(list)
  local found, seen = {}, {}
  for _, era in ipairs(list) do
    local s = era.sub
    if s ~= list[#list].sub and not seen[s.id] and not s.ended then found[#found + 1] = s.id end
    seen[s.id] = true
  end
  return found
end
