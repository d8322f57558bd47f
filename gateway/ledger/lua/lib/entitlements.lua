-- The credits that a line of a paid invoice adds to the cycles of its era, or deducts: an allotment, or a share of one.
--- @include "lib/amounts" "lib/calendar" "lib/fractions" "lib/periods" "lib/plans"
local entitlements = {}
local CYCLES_MAX = 60

-- The share of an invoice's money that was not returned. Refunds and disputes add up.
local function kept(s, line)
  local returned = s.returned[line.invoice] or {}
  local whole = fractions.whole(returned)
  local left = whole
  for _, one in ipairs(returned) do left = left - fractions.of(whole, one) end
  return math.max(0, left), whole
end

-- A line's credits, reduced by the share of its invoice that was returned.
local function less_returned(s, line, amount)
  local left, whole = kept(s, line)
  return amount > 0 and amounts.share(amount, left, whole) or -amounts.share_up(-amount, left, whole)
end

-- `cents`: how much of the line's money is for it; nil: unknown.
local function put(era, index, paid, left, cents)
  local sum = era.cycles[index] or {paid = 0, left = 0, cents = 0}
  era.cycles[index] = sum
  sum.paid, sum.left = sum.paid + paid, sum.left + left
  sum.cents = sum.cents and cents and sum.cents + cents
end

-- The cents of a line, if they are of the card's currency; a line from before lines were stored has none.
local function cents(line) return not line.foreign and line.id ~= "before" and line.amount or nil end

-- A whole period: the plan's full allotment in each of its months. It is set, not added to: a second payment for the
-- same period grants nothing more.
function entitlements.of_period(b, p, s, era, line)
  local months, first = periods.months(line), periods.index(era.at, line.from)
  local terms, sure = plans.terms(b, p, s, line, months)
  if not terms or line.amount <= 0 then return end
  local amount = terms.monthly
  -- If the plan is uncertain, or the period shorter than a month, the credits are in proportion to the money.
  if terms.price and (not sure or periods.short(line)) then
    amount = amounts.share(amount, math.min(line.gross, terms.price), terms.price)
  end
  local left = less_returned(s, line, amount)
  for index = first, first + math.min(months, CYCLES_MAX) - 1 do
    local key = string.format("%s,%d,%d", terms.plan, line.from, index)
    local set = era.set[key] or {paid = 0, left = 0}
    local paid = math.max(0, amount - set.paid)
    -- A second payment that grants nothing more is for nothing.
    local part = paid == 0 and 0 or cents(line) and cents(line) / months
    put(era, index, paid, math.max(0, left - set.left), part)
    era.set[key] = {paid = math.max(amount, set.paid), left = math.max(left, set.left)}
  end
end

-- The share of one cycle that a change of plan pays for or returns. A payment counts by money, but at most by time; for
-- a return, the larger of the two is deducted.
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

-- A part of a period. If it is billed after it is over, it counts in the cycle in which it is billed.
function entitlements.of_part(b, p, s, era, line)
  local months = 1
  for _, one in ipairs(era.lines) do
    if not one.proration and one.from <= line.from then months = periods.months(one) end
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
    if amount ~= 0 then
      local part = cents(line) and cents(line) * seconds(0, overlap) / seconds(line.from, line.to)
      put(era, late or index, amount, less_returned(s, line, amount), part)
    end
  end
end
