-- From what a payment provider said to the account's plan: begin it, pay it on, cancel it, end it. Each only when it is
-- news, so that a repeated event changes nothing, and nothing that an operator did since is undone by an old one.
local renewals = {}

local function begin(a, p, b, current, grace)
  local f, was = a.fields, b.fields.applied
  local anchor = math.min(current.at, a.now)
  if was then b.fields["left|" .. was] = f.billing and f.monthly or b.fields["left|" .. was] or "-" end
  b.fields["left|" .. current.key] = nil
  subscriptions.start(a, p, current.plan, current.interval, anchor, current.paid)
  f.billing, f.grace = current.subscription, amounts.text(grace)
  b.fields.applied, b.fields.applied_at, b.fields.applied_cancel = current.key, amounts.text(anchor), nil
end

local function pay_on(a, current, grace)
  local f = a.fields
  local paid = tonumber(f.paid_through)
  if paid and paid >= current.paid or not paid and f.billing ~= current.subscription then return end
  f.paid_through, f.grace = amounts.text(current.paid), amounts.text(grace)
  local day = zones.day("0,0", current.paid)
  journal.add(a, a.now, "change", {}, nil, f.plan .. " " .. f.interval .. " renewed, paid through " .. day)
end

-- An earlier event came later: the cycles are counted from where they really began.
local function shift(a, b, current)
  local f = a.fields
  if f.anchor ~= b.fields.applied_at or tonumber(f.anchor) == current.at or current.at > a.now then return end
  f.anchor = amounts.text(current.at)
  f.cycle = amounts.text(calendar.cycle(current.at, math.min(a.now, (tonumber(f.paid_through) or math.huge) - 1)))
  b.fields.applied_at = f.anchor
  local monthly = grants.find(a, f.monthly)
  if monthly then monthly.expires = cycles.refreshes(a) end
end

local function cancel(a, b, current)
  local f, stops = a.fields, current.stops and amounts.text(current.stops)
  if b.fields.applied_cancel == stops then return end
  f.cancelled_to, b.fields.applied_cancel = stops, stops
  if stops then f.scheduled = nil end
  local what = stops and " cancelled, ends " .. zones.day("0,0", current.stops) or " resumed"
  journal.add(a, a.now, "change", {}, nil, f.plan .. what)
end

function renewals.apply(a, p, b, list, grace)
  local f, current = a.fields, list[#list]
  local reached = current.subscription .. "|reached"
  local news = current.paid > tonumber(b.fields[reached] or 0)
  if billing.alive(current, a.now, grace) then
    -- What waits for its payment goes on; it does not begin.
    local begins = b.fields.applied ~= current.key or (not f.plan and news)
    if begins and current.paid > a.now then
      begin(a, p, b, current, grace)
    elseif f.plan and news then
      pay_on(a, current, grace)
    end
    if f.plan and f.billing == current.subscription then
      shift(a, b, current)
      cancel(a, b, current)
    end
    billing.settle_leftovers(a, p, b, list, grace)
  elseif f.plan and f.billing then
    billing.remember_lapsed(a, b, list)
    -- It has ended, and what came before it had made room for it: the roll that follows lapses the plan.
    f.cancelled_to, f.grace = amounts.text(math.min(current.stops or math.huge, current.paid + grace)), nil
  end
  b.fields[reached] = amounts.text(current.paid)
end

-- A payment failed: it is only noted. The plan lapses if no payment comes in time.
function renewals.note_failure(a, b, subscription, period_end)
  local function known(name) return tonumber(b.fields[subscription .. "|" .. name] or 0) end
  if a.fields.billing ~= subscription or known("paid") >= period_end or known("failed") >= period_end then return end
  b.fields[subscription .. "|failed"] = amounts.text(period_end)
  local paid_day = zones.day("0,0", known("paid"))
  journal.add(a, a.now, "change", {}, nil, a.fields.plan .. ": a payment failed, paid through " .. paid_day)
end
