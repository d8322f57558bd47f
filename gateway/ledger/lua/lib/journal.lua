-- The append-only record (R19). Entries are gathered in memory and written by `accounts.save`.
-- An entry is text: id|at|kind|available after|held after|bucket:credits:held,…|generation|reason
-- With a generation, "key,member|reason" instead of the reason; or nothing, if it has none of the three.
--- @include "lib/keys" "lib/amounts" "lib/buckets" "lib/expiry"
local journal = {}

local function about(g, reason)
  if not g then return "|" .. (reason or "") end
  if not (g.key or g.member or reason) then return g.id .. "|" end
  return g.id .. "|" .. (g.key or "") .. "," .. (g.member or "") .. "|" .. (reason or "")
end

-- Deltas per bucket letter: {f = {credits, held}, …}. Missing buckets did not change. `g` is the generation, or nil: of
-- it the id, the key and the member.
function journal.add(a, at, kind, deltas, g, reason)
  -- Changes caused by a late payment were due earlier; they get the current time, so that entries stay in order.
  at = math.max(at, a.latest or tonumber(a.fields.time or 0))
  a.latest = at
  local parts = ""
  for _, one in ipairs(buckets.list) do
    local bucket = one[1]
    local delta = deltas[bucket]
    if delta and (delta[1] ~= 0 or delta[2] ~= 0) then
      if delta[1] % 1 ~= 0 or delta[2] % 1 ~= 0 then error("an entry of " .. a.id .. " would have no whole amount") end
      a.available = a.available + delta[1]
      a.held = a.held + delta[2]
      local held = a.held_by_bucket[bucket] + delta[2]
      a.held_by_bucket[bucket] = held
      a.fields["held:" .. bucket] = held ~= 0 and amounts.text(held) or nil
      parts = string.format("%s%s%s:%d:%d", parts, parts ~= "" and "," or "", bucket, delta[1], delta[2])
    end
  end
  a.entry_count = a.entry_count + 1
  a.fields.entries = amounts.text(a.entry_count)
  local text = string.format("%s|%d|%s|%d|%d|", a.fields.entries, at, kind, a.available, a.held)
    .. parts .. "|" .. about(g, reason)
  a.new_entries[#a.new_entries + 1] = text
  local collect = a.collect
  if collect then
    a.collect = nil
    collect(at)
  end
  return text
end

function journal.write(a)
  if #a.new_entries == 0 then return end
  local key, length = keys.journal(a.id), 0
  -- One by one: `unpack` has a limit, and a test clock moved far enough writes more entries than that.
  for _, entry in ipairs(a.new_entries) do length = redis.call("LPUSH", key, entry) end
  -- On every 16th entry: checking each time would cost as much as the write.
  local each = 16
  if a.entry_count % each >= #a.new_entries then return end
  local expiry = make_expiry()
  local kept, trims_to = expiry.kept({}, "journal"), expiry.trims_to(a.fields.archived)
  -- Checking twice as many as were added keeps up. Age is in real time, so a test clock moved a year ahead removes
  -- nothing. The newest is always kept: the balance is checked against it.
  for _ = 1, math.min(2 * (#a.new_entries + each), length - 1) do
    local id, at = string.match(redis.call("LINDEX", key, -1), "^(%d+)|(%d+)|")
    if tonumber(at) >= a.real - kept or tonumber(id) > trims_to then break end
    redis.call("RPOP", key)
  end
end
