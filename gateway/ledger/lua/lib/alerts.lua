-- One entry each time that what is available falls to a threshold of the monthly allotment (R19: `alert`).
-- `accounts.check` calls it, so that no script that moves credits can forget it.
--- @include "lib/events"
local alerts = {}
local DEFAULT = "200,0"

-- The allotment of the current cycle; nil without a subscription.
local function allotment(a)
  for _, grant in ipairs(a.grants) do
    if grant.id == a.fields.monthly then return grant.granted end
  end
end

local function listed(text, threshold) return string.find("," .. text .. ",", "," .. threshold .. ",", 1, true) end

-- The thresholds (thousandths of the allotment) that are reached now, and that allotment.
local function reached(a)
  local list, whole = {}, allotment(a)
  if not whole then return list end
  for threshold in string.gmatch(a.fields.alerts or DEFAULT, "%d+") do
    if a.available <= amounts.share(whole, tonumber(threshold), 1000) then list[#list + 1] = threshold end
  end
  return list, whole
end

local function remember(a, list) a.fields.alerted = #list > 0 and table.concat(list, ",") or nil end

-- A threshold that was reached before and still is says nothing; one that was left again may be reached again.
function alerts.check(a)
  local before = a.fields.alerted or ""
  local list, whole = reached(a)
  for _, threshold in ipairs(list) do
    if not listed(before, threshold) then
      local percent = string.gsub(string.format("%.1f", tonumber(threshold) / 10), "%.0$", "")
      journal.add(a, a.now, "alert", {}, nil, percent .. " % of " .. amounts.credits(whole) .. " reached, "
        .. amounts.credits(a.available) .. " left")
      events.need().note(a, threshold == "0" and "credits.exhausted" or "credits.low", amounts.text(a.entry_count), {
        threshold = threshold, available = amounts.text(a.available), of = amounts.text(whole),
      })
    end
  end
  remember(a, list)
end

-- New thresholds. Those that are reached already were not crossed now.
function alerts.set(a, thresholds)
  alerts.check(a)
  a.fields.alerts = thresholds
  remember(a, (reached(a)))
end
