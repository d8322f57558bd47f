-- One account in memory: loaded once, rolled forward and changed, saved once.
--- @include "lib/alerts"
local accounts = {}
local GRANT = "^(%a),(%d+),(%d+),(%d+),(%d*),(%d+)$"
-- `unpack` takes fewer than 8000 values. Even, so that no name is parted from its value.
local CHUNK = 2000

function accounts.load(id)
  local flat = redis.call("HGETALL", keys.account(id))
  return #flat > 0 and accounts.read(id, flat) or nil
end

-- Grants are fields `grant:<kind letter><number>` = bucket,available,held,granted,expires_at,created_at.
function accounts.read(id, flat)
  local a = {id = id, raw = {}, fields = {}, grants = {}, new_entries = {}, available = 0}
  for index = 1, #flat, 2 do
    local name, value = flat[index], flat[index + 1]
    a.raw[name] = value
    local letter, number = string.match(name, "^grant:(%a)(%d+)$")
    if letter then
      local bucket, available, held, granted, expires, created = string.match(value, GRANT)
      a.grants[#a.grants + 1] = {
        id = letter .. number, kind = letter, number = tonumber(number), bucket = bucket,
        available = tonumber(available), held = tonumber(held), granted = tonumber(granted),
        expires = tonumber(expires), created = tonumber(created),
      }
      a.available = a.available + tonumber(available)
    else
      a.fields[name] = value
    end
  end
  local f = a.fields
  a.held_by_bucket = {
    f = tonumber(f["held:f"] or 0), s = tonumber(f["held:s"] or 0), t = tonumber(f["held:t"] or 0),
  }
  a.held = a.held_by_bucket.f + a.held_by_bucket.s + a.held_by_bucket.t
  a.entry_count = tonumber(f.entries or 0)
  a.grant_count = tonumber(f.grants or 0)
  a.real = amounts.real_now()
  a.now = math.max(tonumber(f.time or 0), a.real + tonumber(f.offset or 0))
  return a
end

-- Whether the caller's cached key may still speak for the account ("" asks for no check).
function accounts.keys_changed(a, version)
  return version ~= "" and version ~= (a.fields.keys_version or "0")
end

function accounts.count(a, field) return tonumber(a.fields[field] or 0) end

function accounts.add(a, field, delta)
  local value = accounts.count(a, field) + delta
  if value < 0 then error(field .. " of " .. a.id .. " would fall below zero") end
  a.fields[field] = value ~= 0 and amounts.text(value) or nil
end

local function encoded(grant)
  return table.concat({
    grant.bucket, amounts.text(grant.available), amounts.text(grant.held), amounts.text(grant.granted),
    grant.expires and amounts.text(grant.expires) or "", amounts.text(grant.created),
  }, ",")
end

-- All fields as they are to be stored. Raises if the journal and the balances have come apart: before any write.
local function stored(a)
  local sum, values = 0, {}
  for name, value in pairs(a.fields) do values[name] = value end
  for _, grant in ipairs(a.grants) do
    if grant.available < 0 or grant.held < 0 then error("a grant of " .. a.id .. " would fall below zero") end
    sum = sum + grant.available
    values["grant:" .. grant.id] = encoded(grant)
  end
  if sum ~= a.available then error("the journal of " .. a.id .. " would not sum to its balance") end
  for bucket, held in pairs(a.held_by_bucket) do
    if held < 0 then error("held of " .. a.id .. " would fall below zero") end
    values["held:" .. bucket] = held ~= 0 and amounts.text(held) or nil
  end
  values.entries = a.entry_count > 0 and amounts.text(a.entry_count) or nil
  values.grants = a.grant_count > 0 and amounts.text(a.grant_count) or nil
  return values
end

-- Check before the first write of a script: everything that could raise does so here.
function accounts.check(a)
  alerts.check(a)
  stored(a)
end

function accounts.save(a)
  a.fields.time = amounts.text(a.now)
  local values, set, removed = stored(a), {}, {}
  for name, value in pairs(values) do
    if a.raw[name] ~= value then
      set[#set + 1] = name
      set[#set + 1] = value
    end
  end
  for name in pairs(a.raw) do
    if values[name] == nil then removed[#removed + 1] = name end
  end
  local key = keys.account(a.id)
  for first = 1, #set, CHUNK do redis.call("HSET", key, unpack(set, first, math.min(first + CHUNK - 1, #set))) end
  for first = 1, #removed, CHUNK do
    redis.call("HDEL", key, unpack(removed, first, math.min(first + CHUNK - 1, #removed)))
  end
  journal.write(a)
end

-- The account as a reply: now, next reset, last and next refresh ("" without a plan), then its fields by pairs.
-- The same whether or not it was saved.
function accounts.view(a)
  local anchor, cycle, last_refresh, next_refresh = tonumber(a.fields.anchor), tonumber(a.fields.cycle), "", ""
  if anchor then
    last_refresh = amounts.text(calendar.add_months(anchor, cycle))
    next_refresh = amounts.text(calendar.add_months(anchor, cycle + 1))
  end
  local reply = {amounts.text(a.now), amounts.text(a.resets_at), last_refresh, next_refresh}
  for name, value in pairs(stored(a)) do
    reply[#reply + 1] = name
    reply[#reply + 1] = value
  end
  return reply
end
