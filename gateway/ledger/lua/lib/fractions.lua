-- Parts of one payment that were returned, {part, of}: as parts of a whole that they have in common, so that their sums
-- are integers, and exact.
--- @include "lib/amounts"
local fractions = {}
local WHOLE_MAX = 90000000 -- its square stays below 2^53

local function common(one, other)
  local a, b = one, other
  while b > 0 do a, b = b, math.fmod(a, b) end
  return one / a * other
end

-- For the cents of one payment it is small; otherwise a millionth is fine enough.
function fractions.whole(list)
  local whole = 1
  for _, one in ipairs(list) do whole = whole <= WHOLE_MAX and common(whole, one.of) or whole end
  return whole <= WHOLE_MAX and whole or 1000000
end

function fractions.of(whole, one) return amounts.share(whole, one.part, one.of) end
