-- Payment periods in calendar months, which credits follow: the two differ by less than five days.
--- @include "lib/calendar"
local periods = {}
local MONTH = 2629800000 -- 30.4375 days
periods.NEAR = 5 * 86400000

-- The cycle from an anchor that begins at `at`, within five days; nil: none.
function periods.index(anchor, at)
  local index = calendar.cycle(anchor, at + periods.NEAR)
  return index >= 0 and math.abs(calendar.add_months(anchor, index) - at) <= periods.NEAR and index or nil
end

function periods.months(line) return math.max(1, math.floor((line.to - line.from) / MONTH + 0.5)) end

-- Whether it is for less than a month.
function periods.short(line) return line.to - line.from < MONTH - periods.NEAR end
