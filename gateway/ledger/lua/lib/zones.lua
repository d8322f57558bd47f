-- Days in a time zone: when a new one begins, and its date.
--- @include "lib/calendar"
local zones = {}
local DAY = 86400000

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

-- The day of `now` in the zone, as 2026-11-22.
function zones.day(zone, now)
  return string.format("%04d-%02d-%02d", calendar.civil(math.floor((now + offset_at(changes(zone), now)) / DAY)))
end

--- @rarely

-- The instant of a wall-clock time: the first of two if the clock goes back; with the old offset if the time is skipped
-- (as Python's zoneinfo does with fold=0).
local function instant(list, wall)
  local offset = list[1].offset
  for index = 2, #list do
    if wall < list[index].at + math.max(offset, list[index].offset) then break end
    offset = list[index].offset
  end
  return wall - offset
end

-- The last day whose `reset` (a time of day in ms) has come at `now`. It never goes back, also where a clock does.
local function begun(list, reset, now)
  local day = math.floor((now + offset_at(list, now) - reset) / DAY) + 1
  while instant(list, day * DAY + reset) > now do day = day - 1 end
  return day
end

-- The last reset at or before `now`, and the next one after it.
function zones.resets(zone, reset, now)
  local list = changes(zone)
  local day = begun(list, reset, now)
  return instant(list, day * DAY + reset), instant(list, (day + 1) * DAY + reset)
end

-- The day that has begun at `now`, counted from 1970; and when one begins.
function zones.number(zone, now) return begun(changes(zone), 0, now) end

function zones.midnight(zone, day) return instant(changes(zone), day * DAY) end
