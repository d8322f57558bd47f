-- Telling an account that so much of its allotment is left.
local thresholds = {}

local function listed(text, threshold) return string.find("," .. text .. ",", "," .. threshold .. ",", 1, true) end

-- These are reached, of the allotment `whole`. One that was reached before and still is says nothing; one that was left
-- again may be reached again.
function thresholds.note(a, list, whole)
  local before = a.fields.alerted or ""
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
  a.fields.alerted = table.concat(list, ",")
end
