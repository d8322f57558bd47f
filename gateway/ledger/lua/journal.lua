#!lua flags=allow-oom
-- Read a page of an account's journal, newest first, after rolling the account forward (R19). With a filter, 1000
-- entries are examined at most, and the reply says where to continue.
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
  created_before, -- or ""
  kind, generation, key, member -- or ""
  = unpack(ARGV)
local EXAMINED_MAX = 1000
local a = accounts.load(string.match(KEYS[1], ":account:(.*)$"))
if not a then return {"not_found"} end
if accounts.keys_changed(a, keys_version) then return {"keys_changed"} end
steps.roll(a, policy.load())
accounts.check(a)
if #a.new_entries > 0 then accounts.save(a) end
-- Ids increase by one and the newest is first, so an entry's id gives its position in the list.
local start = before ~= "" and math.max(a.entry_count - tonumber(before) + 1, 0) or 0
local list_key, first, ending = keys.journal(a.id), tonumber(created_after), tonumber(created_before)
limit = tonumber(limit)
local function at(entry) return tonumber(string.match(entry, "^%d+|(%d+)|")) end
if ending then
  -- The newest one written before, by binary search: an entry is never older than its predecessor.
  local high = math.max(redis.call("LLEN", list_key), start)
  while start < high do
    local middle = math.floor((start + high) / 2)
    if at(redis.call("LINDEX", list_key, amounts.text(middle))) >= ending then start = middle + 1 else high = middle end
  end
end
local filtered = kind .. generation .. key .. member ~= ""
local function wanted(entry)
  if not filtered then return true end
  local this, of, by, whose = string.match(entry, "^%d+|%d+|(%a+)|[^|]*|[^|]*|[^|]*|([^|]*)|([^,|]*),?([^|]*)")
  return (kind == "" or this == kind) and (generation == "" or of == generation)
    and (key == "" or of ~= "" and by == key) and (member == "" or of ~= "" and whose == member)
end
local page, last = {"page", ""}, nil
local last_read = amounts.text(start + (filtered and EXAMINED_MAX or limit))
local found = redis.call("LRANGE", list_key, amounts.text(start), last_read)
for index, entry in ipairs(found) do
  if first and at(entry) < first then break end
  if #page - 2 == limit or filtered and index > EXAMINED_MAX then
    page[2] = string.match(last, "^%d+")
    break
  end
  if wanted(entry) then page[#page + 1] = entry end
  last = entry
end
return page
