-- What the account itself knows of allotments that a payment provider's invoices paid for, so that a cycle can begin
-- without the billing record: `allotments` (cycle:credits,…, those to come), `owed` (what later ones are short of),
-- `paid_for` (grants that were given so, by commas), and `turned`: what has happened to these since, for the record.
--- @include "lib/amounts"
local allotted = {}

-- What the cycle gives: what was paid for it, less what is owed; nil: it is not paid by invoices.
function allotted.take(a, cycle)
  local f = a.fields
  if not f.billing or not f.allotments then return nil end
  local due = tonumber(string.match("," .. f.allotments, "," .. amounts.text(cycle) .. ":(%d+)") or 0)
  local owed = tonumber(f.owed or 0)
  local set_off = math.min(owed, due)
  f.owed = owed ~= set_off and amounts.text(owed - set_off) or nil
  return due - set_off, set_off
end

local function turn(a, text) a.fields.turned = a.fields.turned and a.fields.turned .. ";" .. text or text end

function allotted.paid_for(a, id)
  return a.fields.paid_for and string.find("," .. a.fields.paid_for .. ",", "," .. id .. ",", 1, true) ~= nil
end

-- A cycle began with this grant.
function allotted.opened(a, grant, at, set_off)
  local f = a.fields
  f.paid_for = f.paid_for and f.paid_for .. "," .. grant.id or grant.id
  turn(a, string.format("%s,%s,%d,%d,%d", grant.id, f.billing, at, grant.available, set_off))
end

-- A grant has gone: how much of it was not used.
function allotted.closed(a, grant)
  if not allotted.paid_for(a, grant.id) then return end
  local rest = {}
  for id in string.gmatch(a.fields.paid_for, "[^,]+") do
    if id ~= grant.id then rest[#rest + 1] = id end
  end
  a.fields.paid_for = #rest > 0 and table.concat(rest, ",") or nil
  turn(a, grant.id .. "," .. amounts.text(grant.available))
end
