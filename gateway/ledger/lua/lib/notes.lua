-- Journal notes for failed payments, and for payments that grant no credits, so that every payment is recorded.
--- @include "lib/amounts" "lib/zones" "lib/journal"
local notes = {}

local function say(a, what) journal.add(a, a.now, "change", {}, nil, what) end

-- A payment failed, or its invoice was given up: noted once per invoice, and not if it was paid after all.
-- The plan lapses if no payment comes in time.
function notes.failure(a, b, id, said)
  local s, paid, settled = b.subs[id], 0, false
  for _, line in ipairs(s and s.lines or {}) do
    paid = math.max(paid, line.to)
    settled = settled or line.invoice == said.unpaid_invoice
  end
  local field = id .. "|failed|" .. said.unpaid_invoice
  if settled or b.fields[field] then return end
  b.fields[field] = amounts.text(said.unpaid_through)
  if a.fields.billing ~= id then return end
  say(a, a.fields.plan .. ": " .. said.unpaid_because .. ", paid through " .. zones.day("0,0", paid))
end

-- Why a line grants no credits; nil: it grants some.
local function reason(line, now)
  local plan = line.terms and line.terms.plan or line.plan or line.named or "plan"
  local day = zones.day("0,0", line.to)
  if line.amount == 0 and not line.proration then return plan .. ": nothing to pay until " .. day .. ", no credits" end
  if line.amount <= 0 then return nil end
  local paid = string.format("%s: %d.%02d paid for ", plan, math.floor(line.amount / 100), line.amount % 100)
  if not line.terms then return paid .. "a plan that no rate card has; kept" end
  local over = line.to <= now and (not line.proration or line.billed < line.to)
  return over and paid .. "a time that ended " .. day .. ", no credits" or nil
end

-- Each line that grants no credits is noted when it arrives.
function notes.lines(a, b, id)
  local new = {}
  for _, line in ipairs(b.new) do new[line] = true end
  for _, line in ipairs(b.subs[id] and b.subs[id].lines or {}) do
    local why = new[line.id] and reason(line, a.now)
    if why then say(a, why) end
  end
end
