-- What a price was made for, compared with what the account has.
--- @include "lib/amounts"
local pricing = {}

-- Nil, or the reply that says what the account has. `basis` is "plan;factors;since;until": whose discounts are in the
-- price ("": it is the same for every plan), the account's factors that are in it, and the account's time for which it
-- is the price (each or ""). Or "": the price is agreed.
function pricing.otherwise(a, plan, basis)
  if basis == "" then return nil end
  local for_plan, for_factors, since, to = string.match(basis, "^([^;]*);([^;]*);(%d*);(%d*)$")
  local factors, present = a.fields.factors or "", plan or "free"
  if for_factors == factors and (for_plan == "" or for_plan == present)
    and (since == "" or a.now >= tonumber(since)) and (to == "" or a.now < tonumber(to)) then return nil end
  return {"priced_otherwise", present, factors, amounts.text(a.now), amounts.text(a.now - a.real)}
end
