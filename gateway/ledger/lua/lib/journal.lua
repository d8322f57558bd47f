-- The append-only record (R19). Entries are gathered in memory and written by `accounts.save`.
-- An entry is text: id|at|kind|available after|held after|bucket:credits:held,…|generation|reason
local journal = {}
local KEPT = 400 * 86400000
local TRIMMED_EACH = 16 -- entries: to look each time would cost as much as the write
local BUCKETS = {"f", "s", "t"}

-- Deltas per bucket letter: {f = {credits, held}, …}. Missing buckets did not change.
function journal.add(a, at, kind, deltas, generation, reason)
  -- What a late payment lets happen was due before; it is written when it happens, so that entries stay in order.
  at = math.max(at, a.latest or tonumber(a.fields.time or 0))
  a.latest = at
  local parts = {}
  for _, bucket in ipairs(BUCKETS) do
    local delta = deltas[bucket]
    if delta and (delta[1] ~= 0 or delta[2] ~= 0) then
      a.available = a.available + delta[1]
      a.held = a.held + delta[2]
      a.held_by_bucket[bucket] = a.held_by_bucket[bucket] + delta[2]
      parts[#parts + 1] = bucket .. ":" .. amounts.text(delta[1]) .. ":" .. amounts.text(delta[2])
    end
  end
  a.entry_count = a.entry_count + 1
  local text = table.concat({
    amounts.text(a.entry_count), amounts.text(at), kind, amounts.text(a.available), amounts.text(a.held),
    table.concat(parts, ","), generation or "", reason or "",
  }, "|")
  a.new_entries[#a.new_entries + 1] = text
  return text
end

function journal.write(a)
  if #a.new_entries == 0 then return end
  local key, length = keys.journal(a.id), 0
  -- One by one: `unpack` has a limit, and a test clock moved far enough writes more entries than that.
  for _, entry in ipairs(a.new_entries) do length = redis.call("LPUSH", key, entry) end
  if a.entry_count % TRIMMED_EACH >= #a.new_entries then return end
  -- Twice as many looks as entries came keep up with them. The age is in real time: a test clock moved a year ahead
  -- hides nothing. The newest stays however old it is: the balance is proved against it.
  for _ = 1, math.min(2 * (#a.new_entries + TRIMMED_EACH), length - 1) do
    local at = tonumber(string.match(redis.call("LINDEX", key, -1), "^%d+|(%d+)|"))
    if at >= a.real - KEPT then break end
    redis.call("RPOP", key)
  end
end
