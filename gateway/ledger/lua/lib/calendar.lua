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

-- A time zone is text: "instant,offset;instant,offset;…", each offset in force from its instant on (all in ms).
local function changes(zone)
  local list = {}
  for at, offset in string.gmatch(zone, "(-?%d+),(-?%d+)") do
    list[#list + 1] = {at = tonumber(at), offset = tonumber(offset)}
  end
  return list
end

local function offset_at(list, now)
  local offset = list[1].offset
  for index = 2, #list do
    if list[index].at > now then break end
    offset = list[index].offset
  end
  return offset
end

-- The instant of a wall-clock time: the first of two where the clock goes back, and as if it had not yet gone
-- forward where the time is skipped (what Python's zoneinfo does with fold=0).
local function instant(list, wall)
  local offset = list[1].offset
  for index = 2, #list do
    if wall < list[index].at + math.max(offset, list[index].offset) then break end
    offset = list[index].offset
  end
  return wall - offset
end

-- The last reset at or before `now`, and the next one after it. `reset` is the time of day in ms.
function calendar.resets(zone, reset, now)
  local list = changes(zone)
  local day = math.floor((now + offset_at(list, now) - reset) / DAY) + 1
  while instant(list, day * DAY + reset) > now do day = day - 1 end
  return instant(list, day * DAY + reset), instant(list, (day + 1) * DAY + reset)
end

-- The day of `now` in the zone, as 2026-11-22.
function calendar.day(zone, now)
  return string.format("%04d-%02d-%02d", calendar.civil(math.floor((now + offset_at(changes(zone), now)) / DAY)))
end
