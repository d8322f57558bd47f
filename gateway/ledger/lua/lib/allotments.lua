-- Keeps the invariant of paid subscriptions: credits granted for a cycle, less those revoked, are what was paid for it.
-- Adjusts grants to the amount due; what cannot be revoked because it was spent is set off against later cycles.
--- @include "lib/amounts" "lib/calendar" "lib/journal" "lib/grants" "lib/eras" "lib/cycle_records" "lib/worth"
local allotments = {}
local worth = make_worth()
local MICRO_PER_CENT, TWELFTHS = 10000, 12 -- a quarter or a year of an invoice is exact in twelfths of a micro-unit

-- What credits are worth if so many cents were paid for so many of them; nil cents: unknown.
local function worth_of(cents, paid)
  if not cents then return "?" end
  return worth.ratio(math.floor(cents * MICRO_PER_CENT * TWELFTHS + 0.5), paid * TWELFTHS)
end

-- The grant of a cycle. Recreated if the plan seemed to have ended, but had only changed.
local function grant_of(a, s, cycle, window, plan)
  local grant = cycle.grant and grants.find(a, cycle.grant)
  if grant then return grant end
  grant = grants.add(a, "m", "s", cycle.left or 0, window.expires)
  a.fields.paid_for = a.fields.paid_for and a.fields.paid_for .. "," .. grant.id or grant.id
  cycle.grant, cycle.left = grant.id, nil
  if grant.available > 0 then
    journal.add(a, a.now, "refresh", {s = {grant.available, 0}}, nil, plan .. ", paid for before its change")
  end
  return grant
end

local function adjust(a, cycle, grant, due, plan, fresh)
  local change = due - cycle.set_off - cycle.given
  if change > 0 then
    grant.available, cycle.given = grant.available + change, cycle.given + change
    grants.pays_debt(a, grant)
    local why = fresh and plan .. ", set to " .. amounts.credits(change) or plan .. ", paid for"
    journal.add(a, a.now, fresh and "refresh" or "grant", {s = {change, 0}}, nil, why)
  elseif change < 0 then
    local taken = grants.revoke(a, grant, -change)
    cycle.given = cycle.given - taken
    if taken > 0 then journal.add(a, a.now, "revoke", {s = {-taken, 0}}, nil, plan .. ", not paid for any more") end
  end
  grant.granted = amounts.text(cycle.given)
end

-- Adjust one cycle's grant to the amount due. `window`: {sub, at, expires, current, plan}.
local function update(a, b, list, window)
  local s = window.sub
  local cycle = cycle_records.find(s, window.at)
  local paid, due, cents = eras.due(list, s, window.at)
  if not cycle and due == 0 and not window.current then return end
  local fresh = not cycle
  cycle = cycle or cycle_records.begin(s, window)
  cycle.at = window.at
  -- A cycle that was used up stays ended, unless more is due.
  local over = cycle.grant and not grants.find(a, cycle.grant) and (cycle.left or 0) == 0
  if over and not window.current and due - cycle.set_off <= cycle.given then return end
  local grant = grant_of(a, s, cycle, window, window.plan)
  grant.expires = window.expires
  if paid > 0 then worth.set(a, grant, worth_of(cents, paid)) end
  if window.current then
    a.fields.monthly = grant.id
    cycle.set_off = math.min(due, cycle_records.owed(b, list, cycle))
  end
  adjust(a, cycle, grant, due, window.plan, fresh)
  if fresh and cycle.given == 0 then
    journal.add(a, a.now, "refresh", {}, nil, window.plan .. ", set to 0: nothing was paid for this cycle")
  end
end

-- Cycles outside the windows whose grants still exist: these are only reduced.
local function reduce_closed(a, b, list, windows)
  local open = {}
  for _, window in ipairs(windows) do open[cycle_records.find(window.sub, window.at) or window] = true end
  for _, s in pairs(b.subs) do
    for _, cycle in ipairs(s.cycles) do
      local grant = not open[cycle] and cycle.grant and grants.find(a, cycle.grant)
      local _, due = eras.due(list, s, cycle.at)
      if grant and due - cycle.set_off < cycle.given then adjust(a, cycle, grant, due, "an earlier plan", false) end
    end
  end
end

function allotments.settle(a, b, list, windows)
  cycle_records.absorb(a, b)
  reduce_closed(a, b, list, windows)
  for _, window in ipairs(windows) do update(a, b, list, window) end
  cycle_records.absorb(a, b)
  local sum = cycle_records.owed(b, list, nil)
  a.fields.owed = sum ~= 0 and amounts.text(sum) or nil
end

-- Store what the coming cycles grant.
function allotments.write_upcoming(a, list, era)
  local upcoming, worths, cycle = {}, {}, tonumber(a.fields.cycle)
  for index in pairs(era.cycles) do
    local paid, due, cents = eras.due(list, era.sub, calendar.add_months(era.at, index))
    if index > cycle and due > 0 then upcoming[#upcoming + 1] = {index, due, worth_of(cents, paid)} end
  end
  table.sort(upcoming, function(one, other) return one[1] < other[1] end)
  for position, one in ipairs(upcoming) do
    upcoming[position] = amounts.text(one[1]) .. ":" .. amounts.text(one[2])
    worths[position] = amounts.text(one[1]) .. ":" .. one[3]
  end
  a.fields.allotments = table.concat(upcoming, ",")
  a.fields.allotment_worths = #worths > 0 and table.concat(worths, ",") or nil
end
