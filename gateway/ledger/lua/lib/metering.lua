-- What a price with reported units charges (R29): each delivered output for what was reported of it.
--- @include "lib/amounts"
local metering = {}

-- How much of `ceiling`, the delivered share of the price, is charged, and for how many millionths of each unit. A
-- single function, so that a price without reported units creates no others.
--
-- Exact until it is rounded up once: rates are millicredits and millionths of them, at most 10^9 per unit, and outputs
-- together have at most 10^15 millionths of a unit; so no product and no sum reaches 2^53.
function metering.charge(g, ceiling)
  local MILLION = 1000000
  local delivered, outputs = tonumber(g.delivered), tonumber(g.outputs)

  local function split(number, by)
    local rest = math.fmod(number, by)
    return (number - rest) / by, rest
  end

  -- What is not reported counts as the card says; what is no amount, or above the ceiling, as the ceiling.
  local function counted(index, unit, at_most, unreported)
    local said = string.match("," .. (g["reported:" .. index] or ""), "," .. unit .. ":([^,]*)")
    if not said then return unreported end
    return math.min(string.match(said, "^%d+$") and tonumber(said) or at_most, at_most)
  end

  local function sum(unit, at_most, unreported)
    local total = 0
    for index = 0, outputs - 1 do
      if g["output:" .. index] then total = total + counted(index, unit, at_most, unreported) end
    end
    return total
  end

  -- What the delivered outputs cost whatever is reported; then, in millicredits and their millionths, each unit.
  local fixed, fraction, meters = string.match(g.meters, "^%d+;(%d+)%.(%d+);(.+)$")
  local whole, left = split(fixed * delivered, outputs)
  local millionths, finer_fixed = split(left * MILLION + fraction * delivered, outputs)
  local charged, finer = {}, 0
  for unit, rate, rest, at_most, unreported in string.gmatch(meters, "([%a_]+):(%d+)%.(%d+):(%d+):(%d+)") do
    local total = sum(unit, tonumber(at_most), tonumber(unreported))
    local units, part = split(total, MILLION)
    local carried, below = split(rest * part, MILLION)
    local carry, kept = split(rate * part + rest * units + carried + millionths, MILLION)
    whole, millionths, finer = whole + rate * units + carry, kept, finer + below
    charged[#charged + 1] = unit .. ":" .. amounts.text(total)
  end
  -- Below a millionth there are parts of two sizes; together they may be a few of them.
  local carried, below = split(finer_fixed * MILLION + finer * outputs, MILLION * outputs)
  local carry, kept = split(millionths + carried, MILLION)
  local exact = whole + carry + ((kept > 0 or below > 0) and 1 or 0)
  return math.min(ceiling, exact), table.concat(charged, ",")
end
