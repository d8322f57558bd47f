#!lua flags=allow-oom
-- Read a page of an account's journal, newest first, after rolling the account forward (R19).
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"keys_changed"} {"page", next or "", entry…}
-- Writes   account, journal: only what rolling forward changed
--- @include "lib/keys" "lib/amounts" "lib/policy" "lib/accounts" "lib/steps"
local
  keys_version, -- or "": do not check
  limit,
  before, -- an entry's id, or ""
  created_after, -- at or after, or ""
  created_before -- or ""
  = unpack(ARGV)
local a = accounts.load(string.match(KEYS[1], ":account:(.*)$"))
if not a then return {"not_found"} end
if accounts.keys_changed(a, keys_version) then return {"keys_changed"} end
steps.roll(a, policy.load())
accounts.check(a)
if #a.new_entries > 0 then accounts.save(a) end
-- Ids increase by one and the newest is first, so an entry's id gives its position in the list.
local start = before ~= "" and math.max(a.entry_count - tonumber(before) + 1, 0) or 0
local key, first, ending = keys.journal(a.id), tonumber(created_after), tonumber(created_before)
limit = tonumber(limit)
local function at(entry) return tonumber(string.match(entry, "^%d+|(%d+)|")) end
if ending then
  -- The newest one written before, by binary search: an entry is never older than its predecessor.
  local high = math.max(redis.call("LLEN", key), start)
  while start < high do
    local middle = math.floor((start + high) / 2)
    if at(redis.call("LINDEX", key, amounts.text(middle))) >= ending then start = middle + 1 else high = middle end
  end
end
local entries = redis.call("LRANGE", key, amounts.text(start), amounts.text(start + limit))
while first and entries[1] and at(entries[#entries]) < first do entries[#entries] = nil end
local more = #entries > limit
if more then entries[#entries] = nil end
return {"page", more and string.match(entries[#entries], "^%d+") or "", unpack(entries)}
