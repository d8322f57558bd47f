-- Days and months on the proleptic Gregorian calendar; the civil algorithms are Howard Hinnant's.
local calendar = {}
local DAY = 86400000

function calendar.civil(days)
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return year, month, doy - math.floor((153 * mp + 2) / 5) + 1
end

function calendar.days(year, month, day)
  if month <= 2 then year = year - 1 end
  local era = math.floor(year / 400)
  local yoe = year - era * 400
  local doy = math.floor((153 * (month > 2 and month - 3 or month + 9) + 2) / 5) + day - 1
  return era * 146097 + yoe * 365 + math.floor(yoe / 4) - math.floor(yoe / 100) + doy - 719468
end

-- The same day of the month and time of day (UTC) `months` later; the last day where the month is shorter (R2).
function calendar.add_months(at, months)
  local days = math.floor(at / DAY)
  local year, month, day = calendar.civil(days)
  local index = year * 12 + month - 1 + months
  year, month = math.floor(index / 12), index % 12 + 1
  local next_month = calendar.days(month == 12 and year + 1 or year, month == 12 and 1 or month + 1, 1)
  local first = calendar.days(year, month, 1)
  return (first + math.min(day, next_month - first) - 1) * DAY + (at - days * DAY)
end

-- How many whole months, counted from the anchor, have begun at `now`: the index of the current cycle.
function calendar.cycle(anchor, now)
  local year, month = calendar.civil(math.floor(anchor / DAY))
  local now_year, now_month = calendar.civil(math.floor(now / DAY))
  local index = (now_year - year) * 12 + now_month - month
  if calendar.add_months(anchor, index) > now then index = index - 1 end
  return index
end
