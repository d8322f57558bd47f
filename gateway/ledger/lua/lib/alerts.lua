-- One entry each time the available credits fall to a threshold of the monthly allotment (R19: `alert`).
-- Called by `accounts.check`, so that no script that changes credits can forget it.
--- @include "lib/amounts" "lib/journal" "lib/events"
local alerts = {}

-- The thresholds (thousandths of the current cycle's allotment) that are reached now, and that allotment; none without
-- a subscription.
local function reached(a)
  local list, whole = {}, nil
  if not a.fields.monthly then return list end
  for _, grant in ipairs(a.grants) do
    if grant.id == a.fields.monthly then whole = tonumber(grant.granted) end
  end
  for threshold in string.gmatch(a.fields.alerts or "200,0", "%d+") do
    if whole and a.available <= amounts.share(whole, tonumber(threshold), 1000) then list[#list + 1] = threshold end
  end
  return list, whole
end

local function listed(text, threshold) return string.find("," .. text .. ",", "," .. threshold .. ",", 1, true) end

-- Record the thresholds reached for the allotment `whole`. One that was already reached adds no entry; once balances
-- rise above it, it can be reached again.
local function note(a, list, whole)
  local before = a.fields.alerted or ""
  for _, threshold in ipairs(list) do
    if not listed(before, threshold) then
      local percent = string.gsub(string.format("%.1f", tonumber(threshold) / 10), "%.0$", "")
      journal.add(a, a.now, "alert", {}, nil, percent .. " % of " .. amounts.credits(whole) .. " reached, "
        .. amounts.credits(a.available) .. " left")
      events.note(a, threshold == "0" and "credits.exhausted" or "credits.low", amounts.text(a.entry_count), {
        threshold = threshold, available = amounts.text(a.available), of = amounts.text(whole),
      })
    end
  end
  a.fields.alerted = table.concat(list, ",")
end

function alerts.check(a)
  local list, whole = reached(a)
  if #list == 0 then
    a.fields.alerted = nil
    return
  end
  note(a, list, whole)
end

-- New thresholds. Those already reached were not crossed now.
function alerts.set(a, list)
  alerts.check(a)
  a.fields.alerts = list
  local now = reached(a)
  a.fields.alerted = #now > 0 and table.concat(now, ",") or nil
end
