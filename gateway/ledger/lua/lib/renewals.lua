-- Derives the account's plan from its payments: starts, extends, changes, cancels or ends it. Only new facts have an
-- effect: a repeated event changes nothing, and an old one does not undo what an operator has done since.
--- @include "lib/amounts" "lib/calendar" "lib/zones" "lib/periods" "lib/policy" "lib/journal" "lib/cycles"
--- @include "lib/subscriptions" "lib/allotments" "lib/eras" "lib/plans"
local renewals = {}

local function note(a, what) journal.add(a, a.now, "change", {}, nil, what) end

local function day(at) return zones.day("0,0", at) end

local function interval_of(months) return months < 3 and "monthly" or months < 12 and "quarterly" or "yearly" end

-- Make the account's cycles those of the era: started with it, or shifted because an earlier payment arrived late.
local function align(a, p, b, era)
  local f = a.fields
  local anchor, ours = math.min(era.at, a.now), f.plan and f.billing == era.sub.id
  local same = ours and periods.index(anchor, cycles.began(a))
  if same then
    -- If the provider's clock is ahead, the cycles stay as they started here.
    if era.at <= a.now then f.anchor, f.cycle = amounts.text(anchor), amounts.text(same) end
    return
  end
  subscriptions.leave(a, p)
  f.anchor, f.cycle = amounts.text(anchor), amounts.text(calendar.cycle(anchor, math.min(a.now, era.paid - 1)))
  f.paid_through = nil
  if not ours then f.cancelled_to, f.scheduled, b.fields.applied_cancel = nil, nil, nil end
end

local function start_or_renew(a, p, b, era, plan, grace, news)
  local f, was, interval = a.fields, a.fields.plan, interval_of(era.months)
  local from, paid, began = f.interval, tonumber(f.paid_through), amounts.text(era.at)
  align(a, p, b, era)
  -- Restarted cycles may be paid for a shorter time than the previous ones.
  if b.fields[era.sub.id .. "|era"] ~= began then f.paid_through = nil end
  b.fields[era.sub.id .. "|era"] = began
  f.plan, f.interval, f.billing = plan, interval, era.sub.id
  f.grace = amounts.text(era.waits and grace or 0)
  if was and (was ~= plan or from ~= interval) then note(a, was .. " to " .. plan .. " " .. interval) end
  if not f.paid_through or (news and era.paid > tonumber(f.paid_through)) then
    f.paid_through = amounts.text(era.paid)
    if paid and was == plan and era.paid > paid then
      note(a, plan .. " " .. interval .. " renewed, paid through " .. day(era.paid))
    end
  end
  b.fields.applied = era.sub.id
end

-- An operator's plan has replaced the paid one; a payment still extends it.
local function extend(a, era, grace)
  local f = a.fields
  local paid = tonumber(f.paid_through)
  if not paid or paid >= era.paid then return end
  f.paid_through, f.grace = amounts.text(era.paid), amounts.text(grace)
  note(a, f.plan .. " " .. f.interval .. " renewed, paid through " .. day(era.paid))
end

local function cancel(a, b, era)
  local f, stops = a.fields, era.stops and amounts.text(era.stops)
  if b.fields.applied_cancel == stops then return end
  f.cancelled_to, b.fields.applied_cancel = stops, stops
  if stops then f.scheduled = nil end
  note(a, f.plan .. (stops and " cancelled, ends " .. day(era.stops) or " resumed"))
end

-- Note a state in the journal once, and again only after it has changed in between.
local function note_status(a, b, era, word, what)
  local field = era.sub.id .. "|" .. word
  if what and b.fields[field] ~= what then note(a, a.fields.plan .. ": " .. what) end
  b.fields[field] = what
end

-- The cycles whose credits exist now: the account's current one, and the last one of each earlier era, whose remaining
-- credits stay until its end (R12), or until its plan ended if that was before the next era started.
local function windows(a, p, list, grace)
  local current, open = list[#list], {}
  for position = 1, #list - 1 do
    local era, following = list[position], list[position + 1]
    local index = calendar.cycle(era.at, math.max(following.at, era.at))
    local at, expires = calendar.add_months(era.at, index), calendar.add_months(era.at, index + 1)
    local ran_out = eras.ends(era, grace)
    if ran_out < following.at then expires = ran_out end
    if policy.rule(p, "leftover") == "1" and expires > a.now then
      open[#open + 1] = {sub = era.sub, at = at, expires = expires, plan = era.plan}
    end
  end
  open[#open + 1] = {
    sub = current.sub, at = cycles.began(a), expires = cycles.refreshes(a), plan = a.fields.plan, current = true,
  }
  return open
end

function renewals.settle(a, p, b, list, grace)
  local current, f = list[#list], a.fields
  local ours = current and f.plan and f.billing == current.sub.id
  allotments.settle(a, b, list, ours and windows(a, p, list, grace) or {})
  if ours then allotments.write_upcoming(a, list, current) end
end

-- Whether it is paid further than ever before, or its cycles have restarted.
local function news_of(b, era)
  local field = era.sub.id .. "|reached"
  local at, paid = string.match(b.fields[field] or "0,0", "^(%d+),(%d+)$")
  at, paid = tonumber(at), tonumber(paid)
  local restarted = era.at > at + periods.NEAR
  b.fields[field] = amounts.text(era.at) .. "," .. amounts.text(restarted and era.paid or math.max(era.paid, paid))
  return restarted or era.paid > paid
end

function renewals.apply(a, p, b, list, grace)
  local f, era = a.fields, list[#list]
  local id = era.sub.id
  local news = news_of(b, era)
  local ours = f.plan and f.billing == id
  local plan, waits = plans.in_force(p, era.sub, era, a.now)
  if eras.alive(era, a.now, grace) then
    -- A plan that waits for its payment continues; it does not start.
    local begins = (b.fields.applied ~= id or (not f.plan and news)) and era.paid > a.now
    if plan and (begins or ours) then
      start_or_renew(a, p, b, era, plan, grace, news)
      note_status(a, b, era, "waits", waits and waits .. " waits for its payment")
      local status = era.sub.status
      note_status(a, b, era, "told", status and status ~= "active" and "its payments are " .. status or nil)
      cancel(a, b, era)
    elseif f.plan and news then
      extend(a, era, grace)
    end
  elseif f.plan and f.billing then
    -- It has ended, and had replaced any earlier plan: the roll that follows lapses the plan.
    f.cancelled_to, f.grace = amounts.text(eras.ends(era, grace)), nil
  end
end
