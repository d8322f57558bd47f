-- What a grant's credits are worth: what was really paid for them (R31), as an exact ratio "micro-units/millicredits";
-- "0": nothing was paid; "?": unknown. It is the account's `worth:<grant>`, where it is not the usual for the kind of
-- grant; `reserve` copies it, because a grant may be gone when a generation ends.
-- Created when it is needed: most scripts roll an account, and few change what it has.
--- @include "lib/amounts" "lib/policy" "lib/worths"
local function make_worth()
  local worth = {}
  local MICRO_PER_CENT = 10000

  function worth.of(a, grant) return a.fields["worth:" .. grant.id] or worths.usual(grant.id, grant.bucket) end

  function worth.set(a, grant, text)
    a.fields["worth:" .. grant.id] = text ~= worths.usual(grant.id, grant.bucket) and text or nil
  end

  function worth.ratio(micro, millicredits)
    if micro == 0 then return "0" end
    if not micro or micro < 0 or millicredits <= 0 then return "?" end
    local one, other = micro, millicredits
    while other > 0 do one, other = other, math.fmod(one, other) end
    return amounts.text(micro / one) .. "/" .. amounts.text(millicredits / one)
  end

  -- Of a plan, by its price on the card: of the interval, else of as many single months.
  function worth.of_plan(p, plan, months)
    local by_months = {}
    for each, cents in string.gmatch(policy.rule(p, "price:" .. plan) or "", "(%d+):(%d+)") do
      by_months[tonumber(each)] = tonumber(cents)
    end
    local cents = by_months[months] or by_months[1] and by_months[1] * months
    return worth.ratio(cents and cents * MICRO_PER_CENT, tonumber(policy.terms(p, plan).monthly) * months)
  end

  -- Of `millicredits` that were bought for a price in decimal text.
  function worth.of_purchase(price, millicredits)
    local whole, cents = string.match(price or "", "^(%d+)%.?(%d?%d?)$")
    if not whole then return "?" end
    return worth.ratio((whole * 100 + string.sub(cents .. "00", 1, 2)) * MICRO_PER_CENT, millicredits)
  end

  return worth
end
