-- An account's own fields about allotments paid by invoices, so that a cycle can begin without reading the billing
-- record: `allotments` (cycle:credits,… of the coming ones), `owed` (to deduct from them), `paid_for` (the grants of
-- paid cycles, comma-separated), and `turned`: which of these began or ended since the last event, for the record.
--- @include "lib/amounts"
local paid_allotments = {}

--- @rarely

-- What the cycle grants: what was paid for it, less what is owed; nil: the plan is not paid by invoices.
function paid_allotments.take(a, cycle)
  local f = a.fields
  if not f.billing or not f.allotments then return nil end
  local due = tonumber(string.match("," .. f.allotments, "," .. amounts.text(cycle) .. ":(%d+)") or 0)
  local owed = tonumber(f.owed or 0)
  local set_off = math.min(owed, due)
  f.owed = owed ~= set_off and amounts.text(owed - set_off) or nil
  return due - set_off, set_off
end

-- What the cycle's credits are worth, by its invoices (R31).
function paid_allotments.worth(a, cycle)
  local stored = "," .. (a.fields.allotment_worths or "")
  return string.match(stored, "," .. amounts.text(cycle) .. ":([^,]+)") or "?"
end

local function record(a, text) a.fields.turned = a.fields.turned and a.fields.turned .. ";" .. text or text end

function paid_allotments.paid_for(a, id)
  return a.fields.paid_for and string.find("," .. a.fields.paid_for .. ",", "," .. id .. ",", 1, true) ~= nil
end

-- A cycle began with this grant.
function paid_allotments.began(a, grant, at, set_off)
  local f = a.fields
  f.paid_for = f.paid_for and f.paid_for .. "," .. grant.id or grant.id
  record(a, string.format("%s,%s,%d,%d,%d", grant.id, f.billing, at, grant.available, set_off))
end

-- A grant ended; records how much of it was unused.
function paid_allotments.ended(a, grant)
  if not paid_allotments.paid_for(a, grant.id) then return end
  local rest = {}
  for id in string.gmatch(a.fields.paid_for, "[^,]+") do
    if id ~= grant.id then rest[#rest + 1] = id end
  end
  a.fields.paid_for = #rest > 0 and table.concat(rest, ",") or nil
  record(a, grant.id .. "," .. amounts.text(grant.available))
end
