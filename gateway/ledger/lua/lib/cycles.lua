-- When an account's monthly cycles, its plan and its grants begin and end (R2, R3).
--- @include "lib/calendar"
local cycles = {}

-- When the subscription ends; nil: it renews itself. If a payment provider renews it, the payment arrives some time
-- after its period has begun: `grace` is how long the plan waits for it.
function cycles.ends(a)
  local paid, cancelled = tonumber(a.fields.paid_through), tonumber(a.fields.cancelled_to)
  if paid then paid = paid + tonumber(a.fields.grace or 0) end
  if paid and cancelled then return math.min(paid, cancelled) end
  return paid or cancelled
end

-- How many monthly cycles a payment covers.
function cycles.months(interval) return interval == "monthly" and 1 or interval == "quarterly" and 3 or 12 end

-- The end of the paid period: `paid_through`, or the next payment date of one that renews itself.
function cycles.period_end(a)
  local paid = tonumber(a.fields.paid_through)
  if paid then return paid end
  local months = cycles.months(a.fields.interval)
  local periods = math.floor(tonumber(a.fields.cycle) / months) + 1
  return calendar.add_months(tonumber(a.fields.anchor), periods * months)
end

-- The start of the current cycle.
function cycles.began(a) return calendar.add_months(tonumber(a.fields.anchor), tonumber(a.fields.cycle)) end

-- The start of the cycle after the current one.
function cycles.refreshes(a)
  if not a.fields.plan then return nil end
  return calendar.add_months(tonumber(a.fields.anchor), tonumber(a.fields.cycle) + 1)
end

-- When the allotment expires: at the next cycle, or when the subscription ends before that. While the plan waits for
-- the payment of a cycle that should have begun, it is when it stops waiting.
function cycles.bucket_ends(a)
  local refreshes, ends = cycles.refreshes(a), cycles.ends(a) or math.huge
  return refreshes > a.now and math.min(refreshes, ends) or ends
end

-- The next step of each kind (`expiring` is a grant, the others are times or nil), and when the first is `due`.
function cycles.upcoming(a)
  -- The grant that expires first, except the daily and monthly ones; of two at the same time the older, so that the
  -- journal does not depend on the order in which Redis lists an account's fields.
  local first
  for _, grant in ipairs(a.grants) do
    local recurs = grant.id == a.fields.daily or grant.id == a.fields.monthly
    if grant.expires and not recurs then
      local sooner = not first or grant.expires < first.expires
      if sooner or grant.expires == first.expires and grant.number < first.number then first = grant end
    end
  end
  local ends, refreshes, changes, plan, interval
  if a.fields.plan then
    ends, refreshes = cycles.ends(a), cycles.refreshes(a)
    if a.fields.scheduled then
      plan, interval, changes = string.match(a.fields.scheduled, "^([^,]+),(%a+),(%d+)$")
      changes = tonumber(changes)
    end
    -- While the plan waits for its payment, so do its next credits.
    local unpaid = a.fields.grace and tonumber(a.fields.paid_through) or math.huge
    if refreshes >= unpaid then refreshes = nil end
    if changes and changes >= unpaid then changes = nil end
  end
  local never = math.huge
  return {
    due = math.min(first and first.expires or never, ends or never, changes or never, refreshes or never),
    expiring = first, ends = ends, changes = changes, plan = plan, interval = interval, refreshes = refreshes,
  }
end
