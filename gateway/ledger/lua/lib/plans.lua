-- Which plan a line of an invoice is for, and the terms it was sold on.
--- @include "lib/policy"
local plans = {}
local SAME_MOMENT = 10000 -- a change's event is created within seconds of its invoice line

-- The plan that a subscription was last seen with up to `at`.
local function seen_up_to(s, at)
  local plan
  for _, one in ipairs(s.seen) do
    if one.at <= at then plan = one.plan end
  end
  return plan
end

-- The price of `months` of a plan in the currency's smallest unit: of that interval, else of as many single months;
-- nil: unknown.
local function price_of(p, plan, months)
  local by_months = {}
  for each, cents in string.gmatch(policy.rule(p, "price:" .. plan) or "", "(%d+):(%d+)") do
    by_months[tonumber(each)] = tonumber(cents)
  end
  return by_months[months] or by_months[1] and by_months[1] * months
end

-- The plan of a whole period: the first with this price of the plan the subscription was seen with, the one the line
-- names, and the one bought. If none has it and they differ, the plan is uncertain: the line counts by its money.
local function of_period(p, s, line, months)
  local named = line.named or s.bought
  local candidates = {seen_up_to(s, line.from + SAME_MOMENT) or named, named, s.bought}
  local alike = true
  for _, plan in ipairs(candidates) do
    if price_of(p, plan, months) == line.gross then return plan, true end
    alike = alike and plan == candidates[1]
  end
  return candidates[1], alike
end

-- The plan of a partial period: money returned is for the plan before the change, money paid for the one after it.
local function of_part(s, line)
  if line.amount < 0 then return seen_up_to(s, line.from - 1) or s.bought end
  return seen_up_to(s, line.from + SAME_MOMENT) or line.named or s.bought
end

-- The plan that a line's price was seen with. A price may be renamed to another plan after it was paid: a whole period
-- that cost what its own plan costs still belongs to that plan.
local function of_price(p, s, line, months)
  local plan, named = line.price and s.prices[line.price], line.named or s.bought
  if not plan or line.proration or plan == named then return plan end
  local renamed = price_of(p, named, months) == line.gross and price_of(p, plan, months) ~= line.gross
  return renamed and named or plan
end

-- The terms of a line (plan, credits per month, the price of `months` of it or nil), and whether the plan is certain.
-- They are kept with the line, so that a new card changes nothing already sold. nil: no card ever had the plan.
function plans.terms(b, p, s, line, months)
  local plan, sure = line.plan or of_price(p, s, line, months), true
  if not plan then
    if line.proration then plan = of_part(s, line) else plan, sure = of_period(p, s, line, months) end
  end
  local known = line.terms
  if known and known.plan == plan and known.months == months then return known, sure end
  local terms = policy.terms(p, plan)
  if not terms then
    b.unknown[plan] = true
    return nil
  end
  line.terms = {plan = plan, monthly = tonumber(terms.monthly), months = months, price = price_of(p, plan, months)}
  b.fields[s.id .. "|line|" .. line.id] = cjson.encode(line)
  return line.terms, sure
end

-- The plan in force in an era: that of the newest paid (or free) period or change. A plan seen since then applies at
-- once if it gives no more credits, otherwise once it is paid for; until then it is returned second, as waiting.
function plans.in_force(p, s, era, now)
  local paid, from
  for _, line in ipairs(era.lines) do
    local begun = line.terms and line.from <= math.max(now, era.at)
    local counts = line.amount > 0 or (line.amount == 0 and (not line.proration or line.gross == 0))
    if begun and counts then paid, from = line.terms.plan, line.from end
  end
  local seen = s.seen[#s.seen]
  if not paid or not seen or seen.at <= from or seen.plan == paid then return paid end
  local one, other = policy.terms(p, seen.plan), policy.terms(p, paid)
  if one and tonumber(one.monthly) <= tonumber(other.monthly) then return seen.plan end
  return paid, seen.plan
end
