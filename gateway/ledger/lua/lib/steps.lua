-- What the passing of time does to an account: expiries, lapse, change, refresh, reset, each at its own time (R1–R3,
-- R12, R19). Nothing runs at midnight: whichever script touches the account next rolls it forward first.
--- @include "lib/amounts" "lib/zones" "lib/policy" "lib/journal" "lib/paid_allotments" "lib/grants" "lib/cycles"
--- @include "lib/worth"
local steps = {}

-- R1: what the account's next reset gives. `free_credits` is what operators said of it, if anything.
local function free(a, p)
  local verified = a.fields.free_credits or (policy.rule(p, "verified") == "1" and "no" or "yes")
  local given = verified == "yes" and (policy.rule(p, "everyone") == "1" or not a.fields.plan)
  return given and tonumber(policy.rule(p, "daily")) or 0
end

-- Creates the steps only when one is due: most scripts find an account that was already rolled today, and save seven
-- functions.
local function made()
  local worth = make_worth()

  local function expire(a, grant)
    local gone = grant.available
    grants.remove(a, grant.id)
    if gone > 0 then journal.add(a, grant.expires, "expire", {[grant.bucket] = {-gone, 0}}, nil, nil) end
  end

  -- An allotment is set, so its entry has the difference; the reason has both amounts.
  local function set_to(amount, left)
    local text = "set to " .. amounts.credits(amount)
    return left > 0 and text .. ", " .. amounts.credits(left) .. " left over ended" or text
  end

  -- R1: set, not added to. Missed resets collapse into the last one.
  local function reset(a, p, at, next_at)
    local old = a.fields.daily and grants.find(a, a.fields.daily)
    local left = old and old.available or 0
    local amount = free(a, p)
    if old then grants.remove(a, old.id) end
    a.fields.daily = grants.add(a, "d", "f", amount, next_at, at).id
    if amount > 0 or left > 0 then journal.add(a, at, "reset", {f = {amount - left, 0}}, nil, set_to(amount, left)) end
  end

  -- R31: what the credits of the cycle are worth: what was paid for its interval, which begins with the first of its
  -- cycles; by invoices, what was paid for the cycle.
  local function worth_of(a, p, cycle, by_invoices)
    local f = a.fields
    if by_invoices then return paid_allotments.worth(a, cycle) end
    local months = cycles.months(f.interval)
    if not f.paid_worth or math.fmod(cycle, months) == 0 then
      f.paid_worth, f.next_worth = f.next_worth or worth.of_plan(p, f.plan, months), nil
    end
    return f.paid_worth
  end

  -- R2: a new cycle sets the allotment; what was left of the previous one expires.
  local function refresh(a, p, cycle, at)
    local old = a.fields.monthly and grants.find(a, a.fields.monthly)
    local left = old and old.available or 0
    if old then grants.remove(a, old.id) end
    local paid_for, set_off = paid_allotments.take(a, cycle)
    local amount = paid_for or tonumber(policy.terms(p, a.fields.plan).monthly)
    a.fields.cycle = amounts.text(cycle)
    local grant = grants.add(a, "m", "s", amount, cycles.refreshes(a), at)
    a.fields.monthly = grant.id
    worth.set(a, grant, worth_of(a, p, cycle, paid_for))
    if paid_for then paid_allotments.began(a, grant, cycles.began(a), set_off) end
    journal.add(a, at, "refresh", {s = {amount - left, 0}}, nil, a.fields.plan .. ", " .. set_to(amount, left))
  end

  -- R3: the allotment and leftovers of earlier ones expire; refund grants and operators' grants stay.
  local function lapse(a, at)
    local gone = 0
    for index = #a.grants, 1, -1 do
      local grant = a.grants[index]
      if grant.kind == "m" then
        gone = gone + grant.available
        grants.remove(a, grant.id)
      end
    end
    local plan = a.fields.plan
    local gone_with_it = {
      "plan", "interval", "anchor", "cycle", "monthly", "paid_through", "cancelled_to", "scheduled", "grace", "billing",
      "allotments", "allotment_worths", "paid_worth", "next_worth",
    }
    for _, field in ipairs(gone_with_it) do a.fields[field] = nil end
    journal.add(a, at, "lapse", {s = {-gone, 0}}, nil, plan .. " ended")
  end

  -- R12: the change that was scheduled for the end of the paid period; its first cycle starts there.
  local function change(a, p, plan, interval, at)
    local was = a.fields.plan
    a.fields.plan, a.fields.interval, a.fields.anchor, a.fields.scheduled = plan, interval, amounts.text(at), nil
    -- An operator's plan from now on: it is not paid by invoices.
    a.fields.billing, a.fields.allotments, a.fields.allotment_worths = nil, nil, nil
    a.fields.paid_worth, a.fields.next_worth = nil, nil
    journal.add(a, at, "change", {}, nil, was .. " to " .. plan .. " " .. interval)
    refresh(a, p, 0, at)
  end

  -- One step at a time in order of time; at one instant: expire, lapse, change, refresh, reset. `daily` is the current
  -- free grant, or nil.
  local function take(a, p, daily)
    local resets, next_reset = math.huge, nil
    if not daily or daily.expires <= a.now then
      resets, next_reset = zones.resets(policy.rule(p, "zone"), tonumber(policy.rule(p, "reset")), a.now)
      -- If a new card has a later reset time, the last reset could be before the current grant's expiry, and before
      -- entries written since.
      if daily then resets = math.max(resets, daily.expires) end
    end
    while true do
      local coming = cycles.upcoming(a)
      local due = math.min(coming.due, resets)
      if due > a.now then break end
      if coming.expiring and coming.expiring.expires == due then
        expire(a, coming.expiring)
      elseif coming.ends == due then
        lapse(a, due)
      elseif coming.changes == due then
        change(a, p, coming.plan, coming.interval, due)
      elseif coming.refreshes == due then
        refresh(a, p, tonumber(a.fields.cycle) + 1, due)
      else
        reset(a, p, due, next_reset)
        resets = math.huge
      end
    end
  end

  return take, refresh, reset
end

function steps.refresh(a, p, cycle, at)
  local _, refresh = made()
  refresh(a, p, cycle, at)
end

-- Today's free credits for an account that today's reset gave none, as it was not verified then. Returns whether there
-- are any.
function steps.give_free(a, p)
  local daily = grants.find(a, a.fields.daily)
  if daily.granted ~= "0" or free(a, p) == 0 then return false end
  local _, _, reset = made()
  reset(a, p, a.now, daily.expires)
  return true
end

-- Roll an account forward to its current time.
function steps.roll(a, p)
  local daily = a.fields.daily and grants.find(a, a.fields.daily)
  if not daily or daily.expires <= a.now or cycles.upcoming(a).due <= a.now then
    local take = made()
    take(a, p, daily)
    daily = grants.find(a, a.fields.daily)
  end
  a.resets_at = daily.expires
end
