-- Migrates billing records of versions that did not store invoice lines, only until when each subscription was paid and
-- which plans it was seen with. Credits granted then are kept, and repeated old events grant nothing.
--- @include "lib/amounts" "lib/calendar" "lib/grants" "lib/cycles"
local legacy_billing = {}

-- The paid time left of the account's subscription, as one paid line: the current cycle and the paid ones after it,
-- each worth what the current one granted.
local function line_of(a, id, paid, monthly)
  local f = a.fields
  local plan, from = f.plan, cycles.began(a)
  local months = math.max(1, calendar.cycle(from, paid - 1) + 1)
  return {
    id = "before", invoice = "before", from = from, to = math.max(paid, from + 1), billed = from, amount = 1, gross = 1,
    plan = plan, terms = {plan = plan, monthly = monthly, months = months},
  }
end

local function last_seen(b, id)
  local latest, plan, interval
  for name, value in pairs(b.fields) do
    local sub, one, of = string.match(name, "^([^|]+)|last|([^,]+),(%a+)$")
    if sub == id and (not latest or tonumber(value) > latest) then latest, plan, interval = tonumber(value), one, of end
  end
  return latest, plan, interval
end

local function migrate(a, b, id, paid)
  local f, of = a.fields, id .. "|"
  local seen, plan, interval = last_seen(b, id)
  b.fields[of .. "before"] = amounts.text(paid) .. "," .. amounts.text(seen or 0)
  if seen then b.fields[of .. "seen|" .. amounts.text(seen)] = plan .. "," .. interval end
  local grant = f.billing == id and f.plan and grants.find(a, f.monthly)
  local line
  if grant then
    local given = tonumber(grant.granted)
    line = line_of(a, id, paid, given)
    f.paid_for, f.allotments, b.fields[of .. "era"] = grant.id, "", f.anchor
    b.fields[of .. "cycle|" .. amounts.text(line.from)] = grant.id .. "," .. grant.granted .. ",0,"
  else
    -- It has ended or been replaced: nothing more is due.
    plan = plan or string.match(b.fields[of .. "bought"] or "", "^([^,]+),")
    local from = math.min(tonumber(b.fields[of .. "started"] or paid), paid - 1)
    line = {
      id = "before", invoice = "before", from = from, to = paid, billed = from, amount = 0, gross = 1, plan = plan,
    }
  end
  b.fields[of .. "line|before"] = cjson.encode(line)
  b.fields[of .. "reached"] = amounts.text(line.from) .. "," .. (b.fields[of .. "reached"] or amounts.text(paid))
end

function legacy_billing.migrate(a, b)
  local paid = {}
  for name, value in pairs(b.fields) do
    local id = string.match(name, "^([^|]+)|paid$")
    if id then paid[id] = tonumber(value) end
  end
  if not next(paid) then return end
  for id, through in pairs(paid) do migrate(a, b, id, through) end
  for name in pairs(b.fields) do
    if string.match(name, "|first|") or string.match(name, "|last|") or string.match(name, "|paid$")
      or string.match(name, "^left|") then
      b.fields[name] = nil
    end
  end
  b.fields.applied_at = nil
  if b.fields.applied then b.fields.applied = string.match(b.fields.applied, "^([^:]+):") end
end

-- Whether a line's credits were granted before the migration.
function legacy_billing.covers(b, id, line)
  local paid, seen = string.match(b.fields[id .. "|before"] or "", "^(%d+),(%d+)$")
  if not paid then return false end
  if line.proration then return line.from <= tonumber(seen) end
  return line.to <= tonumber(paid)
end
