-- What a key or a member may spend in a day, a week, a month or ever, and what it has spent (R26). A counter is a field
-- of the account, which every script that counts has read and writes anyway:
-- counted:<id> = day,daily,weekly,monthly,never.
-- `day` is the last one on which something was counted; the others are the sums of that day, of its week, of its month
-- and of all time. So a period that is over has no counter any more.
--- @include "lib/amounts" "lib/calendar" "lib/zones" "lib/policy"
local limits = {}
local PERIODS = {"daily", "weekly", "monthly", "never"}

-- Weeks begin on Monday; day 0, 1 January 1970, was a Thursday.
local function week(day) return math.floor((day + 3) / 7) end

-- Whether two days are in one period.
function limits.together(period, day, other)
  if period == "never" or day == other then return true end
  if period == "weekly" then return week(day) == week(other) end
  if period == "daily" then return false end
  local year, month = calendar.civil(day)
  local other_year, other_month = calendar.civil(other)
  return year == other_year and month == other_month
end

local function read(a, id)
  local day, daily, weekly, monthly, never =
    string.match(a.fields["counted:" .. id] or "", "^(%d+),(%d+),(%d+),(%d+),(%d+)$")
  return day and {
    day = tonumber(day), daily = tonumber(daily), weekly = tonumber(weekly), monthly = tonumber(monthly),
    never = tonumber(never),
  }
end

local function write(a, id, counter)
  a.fields["counted:" .. id] = string.format(
    "%d,%d,%d,%d,%d", counter.day, counter.daily, counter.weekly, counter.monthly, counter.never)
end

-- The account's day in the card's time zone, as a number. It is looked up once a day, because a zone is a long text,
-- and never goes back, whatever zone a new card has: so nothing is counted in a period twice.
function limits.today(a, p)
  local day, ends = string.match(a.fields.day or "", "^(%d+),(%d+)$")
  if not day or a.now >= tonumber(ends) then
    local zone = policy.rule(p, "zone")
    day = math.max(tonumber(day or 0), zones.number(zone, a.now))
    a.fields.day = amounts.text(day) .. "," .. amounts.text(zones.midnight(zone, day + 1))
  end
  return tonumber(day)
end

-- When the period of a day ends, as text; "" for never.
local function ends(p, period, day)
  local year, month = calendar.civil(day)
  local after = {
    daily = day + 1, weekly = 7 * (week(day) + 1) - 3,
    monthly = calendar.days(month == 12 and year + 1 or year, month == 12 and 1 or month + 1, 1),
  }
  return after[period] and amounts.text(zones.midnight(policy.rule(p, "zone"), after[period])) or ""
end

-- Whose counters a key's generations are counted in: its own, and its member's. A successor's limit is that of the
-- first key in its line. A retry with a key that was revoked counts for its member, unless they were removed.
local function levels(a, key, member)
  if key == "" or not a.fields["key:" .. key] then
    local current = member and string.match(a.fields["member:" .. member] or "", "^%d+,%a+,,")
    return {current and {whose = "member", id = member} or nil}
  end
  local own = {whose = "key", id = a.fields["succeeds:" .. key] or key}
  return {own, member and {whose = "member", id = member}}
end

-- Count the price of a new generation at every level; nothing is written if one limit is reached. Returns what
-- `give_back` needs, or nil and the refusal.
function limits.count(a, p, key, member, price)
  local list = price > 0 and levels(a, key, member) or {}
  if #list == 0 then return "" end
  local day = limits.today(a, p)
  local counted = amounts.text(day)
  for _, level in ipairs(list) do
    local counter = read(a, level.id) or {day = day, daily = 0, weekly = 0, monthly = 0, never = 0}
    for _, period in ipairs(PERIODS) do
      if not limits.together(period, counter.day, day) then counter[period] = 0 end
    end
    local limit, period = string.match(a.fields["limit:" .. level.id] or "", "^(%d+),(%a+)$")
    if limit and counter[period] + price > tonumber(limit) then
      local used, resets_at = amounts.text(counter[period]), ends(p, period, day)
      return nil, {"limit_reached", level.whose, limit, period, used, resets_at}
    end
    for _, each in ipairs(PERIODS) do counter[each] = counter[each] + price end
    counter.day = day
    write(a, level.id, counter)
    counted = counted .. "," .. level.id
  end
  return counted
end

-- A generation has ended, and so much was refunded: it returns to the periods it was counted in, and to no others.
function limits.give_back(a, g, refunded)
  local day, ids = string.match(g.counted or "", "^(%d+),(.+)$")
  if not day or refunded == 0 then return end
  for id in string.gmatch(ids, "[^,]+") do
    local counter = read(a, id) -- none: the key has been revoked, the member removed
    for _, period in ipairs(counter and PERIODS or {}) do
      if limits.together(period, tonumber(day), counter.day) then
        -- Not below zero: a key that was revoked and then added again starts at zero.
        counter[period] = math.max(0, counter[period] - refunded)
      end
    end
    if counter then write(a, id, counter) end
  end
end
