-- What each paid cycle was granted, and what it owes because more of it was spent than was paid for.
--- @include "lib/amounts" "lib/periods" "lib/eras"
local cycle_records = {}
local KEPT = 300 * 86400000 -- its invoice lines are kept for longer

-- Move the changes since the last event from the account's `turned` into the record.
function cycle_records.absorb(a, b)
  for text in string.gmatch(a.fields.turned or "", "[^;]+") do
    local id, sub, at, given, set_off = string.match(text, "^(%a%d+),([^,]+),(%d+),(%d+),(-?%d+)$")
    if sub then
      local s = b.subs[sub]
      if s then
        s.cycles[#s.cycles + 1] = {at = tonumber(at), grant = id, given = tonumber(given), set_off = tonumber(set_off)}
      end
    else
      local gone, left = string.match(text, "^(%a%d+),(%d+)$")
      for _, s in pairs(b.subs) do
        for _, cycle in ipairs(s.cycles) do
          if cycle.grant == gone then cycle.left = tonumber(left) end
        end
      end
    end
  end
  a.fields.turned = nil
end

-- The record of the cycle that begins near `at`.
function cycle_records.find(s, at)
  local found
  for _, cycle in ipairs(s.cycles) do
    local distance = math.abs(cycle.at - at)
    if distance <= periods.NEAR and (not found or distance < math.abs(found.at - at)) then found = cycle end
  end
  return found
end

-- How much of a cycle's granted credits is not paid for. Credits already spent when a refund or a dispute took their
-- money back are forgiven or owed, as the card says (R33).
local function owed_of(list, s, cycle)
  local paid, left = eras.due(list, s, cycle.at)
  if list.owing then paid = left end
  return math.max(0, cycle.given - (cycle.left or 0) - (paid - cycle.set_off))
end

-- What all cycles except `except` owe, less what was set off already. Negative: too much was.
function cycle_records.owed(b, list, except)
  local sum = tonumber(b.fields.owed or 0)
  for _, s in pairs(b.subs) do
    for _, cycle in ipairs(s.cycles) do
      if cycle ~= except then sum = sum + owed_of(list, s, cycle) - cycle.set_off end
    end
  end
  return sum
end

function cycle_records.begin(s, window)
  local cycle = {at = window.at, given = 0, set_off = 0, left = 0}
  s.cycles[#s.cycles + 1] = cycle
  return cycle
end

-- Store the cycles. Of old ones only the amount owed is kept.
function cycle_records.write(b, list, now)
  local base = tonumber(b.fields.owed or 0)
  for _, s in pairs(b.subs) do
    for name in pairs(b.fields) do
      if string.sub(name, 1, #s.id + 7) == s.id .. "|cycle|" then b.fields[name] = nil end
    end
    for _, cycle in ipairs(s.cycles) do
      if cycle.at < now - KEPT then
        base = base + owed_of(list, s, cycle) - cycle.set_off
      else
        b.fields[s.id .. "|cycle|" .. amounts.text(cycle.at)] = string.format(
          "%s,%d,%d,%s", cycle.grant, cycle.given, cycle.set_off, cycle.left and amounts.text(cycle.left) or "")
      end
    end
  end
  b.fields.owed = base ~= 0 and amounts.text(base) or nil
end
