-- What the archive needs of an account, as it is at this moment.
--- @include "lib/keys" "lib/amounts" "lib/policy" "lib/zones" "lib/webhook_keys"
local snapshots = {}
local DAY, DAYS_MAX = 86400000, 400 -- usage is kept for so many days
local STEP = DAY - 2 * 3600000 -- a day on which clocks go forward is shorter
local CHUNK = 2000 -- `unpack` takes fewer than 8000 values

-- {day, sums, by key, by tag} of the days since the last copy, whose account time is `since` (nil: of all).
function snapshots.usage(p, account, fields, since)
  local found, now, seen = {}, tonumber(fields.time), {}
  if not now then return found end
  local first = math.max(since or 0, tonumber(fields.created_at)) -- an account that is copied again begins at 0
  local at = math.min(now, math.max(first - DAY, now - DAYS_MAX * DAY))
  while at < now + DAY do
    local day = zones.day(policy.rule(p, "zone"), math.min(at, now))
    local sums = not seen[day] and redis.call("HGETALL", keys.usage(account, day)) or {}
    seen[day] = true
    if #sums > 0 then
      local by_key = redis.call("HGETALL", keys.usage_keys(account, day))
      found[#found + 1] = {day, sums, by_key, redis.call("HGETALL", keys.usage_tags(account, day))}
    end
    at = at + STEP
  end
  return found
end

-- {id, fields} of the account's webhooks, and of its default one, which is not in the list.
function snapshots.webhooks(account, listed)
  local found = {}
  for id in string.gmatch((listed or "") .. ";default=", "([^=;]+)=") do
    local flat = redis.call("HGETALL", webhook_keys.webhook(account, id))
    if #flat > 0 then found[#found + 1] = {id, flat} end
  end
  return found
end

-- {id, place in the account's list or ""} of those. Their fields are read after the script, which would take three
-- times as long with them.
function snapshots.places(account, ids)
  local found = {}
  for first = 1, #ids, CHUNK do
    local some = {unpack(ids, first, math.min(first + CHUNK - 1, #ids))}
    for index, place in ipairs(redis.call("ZMSCORE", keys.recent(account), unpack(some))) do
      found[#found + 1] = {some[index], place and amounts.text(tonumber(place)) or ""}
    end
  end
  return found
end

-- At most `limit` entries after `reached`, oldest first; and the first that should be among them and is not, or "".
function snapshots.entries(account, fields, reached, limit)
  local count, key = tonumber(fields.entries or 0), keys.journal(account)
  local first = math.max(reached + 1, count - redis.call("LLEN", key) + 1)
  local last = math.min(first + limit - 1, count)
  if last < first then return {}, "" end
  local newest_first = redis.call("LRANGE", key, amounts.text(count - last), amounts.text(count - first))
  local found = {}
  for index = #newest_first, 1, -1 do found[#found + 1] = newest_first[index] end
  return found, first > reached + 1 and amounts.text(reached + 1) or ""
end

-- The ids given, and those of the generations that entries name, each once.
function snapshots.named(ids, entries)
  local named, seen = {}, {[""] = true}
  local function name(id)
    if not seen[id] then named[#named + 1], seen[id] = id, true end
  end
  for _, id in ipairs(ids) do name(id) end
  for _, entry in ipairs(entries) do name(string.match(entry, "^%d+|%d+|%a+|[^|]*|[^|]*|[^|]*|([^|]*)")) end
  return named
end
