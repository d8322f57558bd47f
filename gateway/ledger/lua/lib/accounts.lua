-- One account in memory: loaded once, rolled forward and changed, saved once.
--- @include "lib/keys" "lib/amounts" "lib/buckets" "lib/calendar" "lib/journal" "lib/events" "lib/alerts"
--- @include "lib/archive"
local accounts = {}
local USES_APART_MS = 60000

function accounts.load(id)
  local flat = redis.call("HGETALL", keys.account(id))
  return #flat > 0 and accounts.read(id, flat) or nil
end

-- Grants are fields `grant:<kind letter><number>` = bucket,available,held,granted,expires_at,created_at.
function accounts.read(id, flat)
  local raw, f, list, sum, match = {}, {}, {}, 0, string.match
  for index = 1, #flat, 2 do
    local name, value = flat[index], flat[index + 1]
    raw[name], f[name] = value, value
    local grant, kind, number = match(name, "^grant:((%a)(%d+))$")
    if grant then
      local bucket, available, held, granted, expires, created =
        match(value, "^(%a),(%d+),(%d+),(%d+),(%d*),(%d+)$")
      -- Two that are hardly ever used in arithmetic stay text: converting them costs more than reading them.
      available = tonumber(available)
      list[#list + 1] = {
        field = name, id = grant, kind = kind, number = tonumber(number), bucket = bucket, available = available,
        held = tonumber(held), granted = granted, expires = tonumber(expires), created = created,
      }
      sum = sum + available
    end
  end
  local held, all_held = {}, 0
  for _, one in ipairs(buckets.list) do
    local amount = tonumber(f["held:" .. one[1]] or 0)
    held[one[1]], all_held = amount, all_held + amount
  end
  local real = amounts.real_now()
  return {
    id = id, raw = raw, fields = f, grants = list, new_entries = {},
    available = sum, held = all_held, held_by_bucket = held,
    entry_count = tonumber(f.entries or 0), grant_count = tonumber(f.grants or 0),
    real = real, now = math.max(tonumber(f.time or 0), real + tonumber(f.offset or 0)),
  }
end

-- Whether the caller's cached key is still valid for the account ("": do not check).
function accounts.keys_changed(a, version)
  return version ~= "" and version ~= (a.fields.keys_version or "0")
end

function accounts.count(a, field) return tonumber(a.fields[field] or 0) end

function accounts.add(a, field, delta)
  local value = accounts.count(a, field) + delta
  if value < 0 then error(field .. " of " .. a.id .. " would fall below zero") end
  a.fields[field] = value ~= 0 and amounts.text(value) or nil
end

-- Update the fields from the state in memory, grants included. Raises if the journal and the balances do not match.
local function settle(a)
  local f, sum = a.fields, 0
  for _, grant in ipairs(a.grants) do
    if grant.available < 0 or grant.held < 0 then error("a grant of " .. a.id .. " would fall below zero") end
    sum = sum + grant.available
    f[grant.field] = string.format(
      "%s,%d,%d,%s,%s,%s", grant.bucket, grant.available, grant.held, grant.granted,
      grant.expires and amounts.text(grant.expires) or "", grant.created)
  end
  if sum ~= a.available then error("the journal of " .. a.id .. " would not sum to its balance") end
  for _, held in pairs(a.held_by_bucket) do
    if held < 0 then error("held of " .. a.id .. " would fall below zero") end
  end
end

-- Called before a script's first write: everything that can raise does so here, and nothing may change afterwards.
-- `key`: that of the caller, whose use is recorded once a minute, as `touch` records other uses.
function accounts.check(a, key)
  alerts.check(a)
  local f, was = a.fields, a.raw
  if f.plan ~= was.plan or f.interval ~= was.interval or f.anchor ~= was.anchor or f.scheduled ~= was.scheduled
    or f.paid_through ~= was.paid_through or f.cancelled_to ~= was.cancelled_to then
    events.note_subscription(a)
  end
  settle(a)
  local used = key and key ~= "" and "used:" .. key
  if used and a.real - accounts.count(a, used) >= USES_APART_MS then f[used] = amounts.text(a.real) end
  a.fields.time = amounts.text(a.now)
  a.checked = true
end

-- Write what has changed since it was read.
function accounts.save(a)
  if not a.checked then error("account " .. a.id .. " was not checked") end
  local raw, f, set, removed = a.raw, a.fields, {}, {}
  for name, value in pairs(f) do
    if raw[name] ~= value then set[#set + 1], set[#set + 2] = name, value end
  end
  for name in pairs(raw) do
    if not f[name] then removed[#removed + 1] = name end
  end
  -- `unpack` takes fewer than 8000 values. Even, so that names and values stay together.
  local key, chunk = keys.account(a.id), 2000
  for first = 1, #set, chunk do redis.call("HSET", key, unpack(set, first, math.min(first + chunk - 1, #set))) end
  for first = 1, #removed, chunk do
    redis.call("HDEL", key, unpack(removed, first, math.min(first + chunk - 1, #removed)))
  end
  journal.write(a)
  archive.note(a)
  if a.new_events then events.write(a) end
end

-- The account as a reply: now, next reset, last and next refresh ("" without a plan), then its fields by pairs.
-- The same whether or not it was saved.
function accounts.view(a)
  local anchor, cycle, last_refresh, next_refresh = tonumber(a.fields.anchor), tonumber(a.fields.cycle), "", ""
  if anchor then
    last_refresh = amounts.text(calendar.add_months(anchor, cycle))
    next_refresh = amounts.text(calendar.add_months(anchor, cycle + 1))
  end
  settle(a)
  local reply = {amounts.text(a.now), amounts.text(a.resets_at), last_refresh, next_refresh}
  for name, value in pairs(a.fields) do reply[#reply + 1], reply[#reply + 2] = name, value end
  return reply
end
