-- Roll an account forward to its now: resets, refreshes, expiries and the lapse, each at its own time (R1–R3, R19).
-- Nothing runs at midnight: whichever script touches the account next does this first.
local cycles = {}

-- When the subscription ends, or nil: it renews itself. Where a payment provider renews it, the money comes a while
-- after the period it is for has begun: `grace` is how long the plan waits for it.
function cycles.ends(a)
  local paid, cancelled = tonumber(a.fields.paid_through), tonumber(a.fields.cancelled_to)
  if paid then paid = paid + tonumber(a.fields.grace or 0) end
  if paid and cancelled then return math.min(paid, cancelled) end
  return paid or cancelled
end

-- How many monthly cycles a payment covers.
cycles.MONTHS = {monthly = 1, quarterly = 3, yearly = 12}

-- The end of the paid period: what was paid through, or the next payment of one that renews itself.
function cycles.period_end(a)
  local paid = tonumber(a.fields.paid_through)
  if paid then return paid end
  local months = cycles.MONTHS[a.fields.interval]
  local periods = math.floor(tonumber(a.fields.cycle) / months) + 1
  return calendar.add_months(tonumber(a.fields.anchor), periods * months)
end

-- The start of the cycle after the current one.
function cycles.refreshes(a)
  if not a.fields.plan then return nil end
  return calendar.add_months(tonumber(a.fields.anchor), tonumber(a.fields.cycle) + 1)
end

-- When the allotment is gone: at the next cycle, or when the subscription ends before that.
function cycles.bucket_ends(a)
  return math.min(cycles.refreshes(a), cycles.ends(a) or math.huge)
end

local function expire(a, grant)
  local gone = grant.available
  grant.available = 0
  grants.remove(a, grant.id)
  if gone > 0 then journal.add(a, grant.expires, "expire", {[grant.bucket] = {-gone, 0}}, nil, nil) end
end

-- An allotment is set, so its entry is the difference; the reason says both sides of it.
local function set_to(amount, left)
  local text = "set to " .. amounts.credits(amount)
  return left > 0 and text .. ", " .. amounts.credits(left) .. " left over ended" or text
end

-- R1: set, not added to. Resets that nobody saw collapse into the last one.
local function reset(a, p, at, next_at)
  local old = a.fields.daily and grants.find(a, a.fields.daily)
  local left = old and old.available or 0
  local amount = (p.everyone or not a.fields.plan) and p.daily or 0
  if old then grants.remove(a, old.id) end
  a.fields.daily = grants.add(a, "d", "f", amount, next_at, at).id
  if amount > 0 or left > 0 then journal.add(a, at, "reset", {f = {amount - left, 0}}, nil, set_to(amount, left)) end
end

-- R2: a new cycle sets the allotment; what was left of the one before is gone.
function cycles.refresh(a, p, cycle, at)
  local old = a.fields.monthly and grants.find(a, a.fields.monthly)
  local left = old and old.available or 0
  if old then grants.remove(a, old.id) end
  local amount = policy.terms(p, a.fields.plan).monthly
  a.fields.cycle = amounts.text(cycle)
  a.fields.monthly = grants.add(a, "m", "s", amount, cycles.refreshes(a), at).id
  journal.add(a, at, "refresh", {s = {amount - left, 0}}, nil, a.fields.plan .. ", " .. set_to(amount, left))
end

-- R3: the allotment and what an upgrade left of earlier ones go; refund grants and operators' own stay.
local function lapse(a, at)
  local gone, kept = 0, {}
  for _, grant in ipairs(a.grants) do
    if grant.kind == "m" then gone = gone + grant.available else kept[#kept + 1] = grant end
  end
  a.grants = kept
  local plan = a.fields.plan
  local gone_with_it = {
    "plan", "interval", "anchor", "cycle", "monthly", "paid_through", "cancelled_to", "scheduled", "grace", "billing",
  }
  for _, field in ipairs(gone_with_it) do a.fields[field] = nil end
  journal.add(a, at, "lapse", {s = {-gone, 0}}, nil, plan .. " ended")
end

-- R12: the change that was scheduled for the end of the paid period; its first cycle starts there.
local function change(a, p, plan, interval, at)
  local was = a.fields.plan
  a.fields.plan, a.fields.interval, a.fields.anchor, a.fields.scheduled = plan, interval, amounts.text(at), nil
  journal.add(a, at, "change", {}, nil, was .. " to " .. plan .. " " .. interval)
  cycles.refresh(a, p, 0, at)
end

-- When a change is scheduled for, to what plan and interval.
local function scheduled(a)
  local plan, interval, at = string.match(a.fields.scheduled or "", "^([^,]+),(%a+),(%d+)$")
  return tonumber(at), plan, interval
end

-- The grant that expires first, of those that do not come again by themselves; of two at one instant the older, so that
-- the journal does not depend on the order in which Redis lists an account's fields.
local function next_expiry(a)
  local first
  for _, grant in ipairs(a.grants) do
    local recurs = grant.id == a.fields.daily or grant.id == a.fields.monthly
    if grant.expires and not recurs then
      local sooner = not first or grant.expires < first.expires
      if sooner or grant.expires == first.expires and grant.number < first.number then first = grant end
    end
  end
  return first
end

-- One step at a time in order of time; at one instant: expire, lapse, change, refresh, reset.
function cycles.roll(a, p)
  local last_reset, next_reset = nil, nil
  local daily = a.fields.daily and grants.find(a, a.fields.daily)
  local reset_due = not daily or daily.expires <= a.now
  if reset_due then last_reset, next_reset = calendar.resets(p.zone, p.reset, a.now) end
  -- A card with a later reset time would have it before the old one ran out, and before entries written since.
  if reset_due and daily then last_reset = math.max(last_reset, daily.expires) end
  while true do
    local grant, ends, refreshes = next_expiry(a), cycles.ends(a), cycles.refreshes(a)
    local changes, to_plan, to_interval = scheduled(a)
    -- The plan waits for its payment, its next credits do too.
    local unpaid = a.fields.grace and tonumber(a.fields.paid_through) or math.huge
    if refreshes and refreshes >= unpaid then refreshes = nil end
    if changes and changes >= unpaid then changes = nil end
    local expires = grant and grant.expires or math.huge
    local resets = reset_due and last_reset or math.huge
    local due = math.min(expires, ends or math.huge, changes or math.huge, refreshes or math.huge, resets)
    if due > a.now then break end
    if expires == due then
      expire(a, grant)
    elseif ends == due then
      lapse(a, due)
    elseif changes == due then
      change(a, p, to_plan, to_interval, due)
    elseif refreshes == due then
      cycles.refresh(a, p, tonumber(a.fields.cycle) + 1, due)
    else
      reset(a, p, due, next_reset)
      reset_due = false
    end
  end
  daily = grants.find(a, a.fields.daily)
  a.resets_at = daily.expires
end
