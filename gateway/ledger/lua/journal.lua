#!lua flags=allow-oom
-- Read a page of an account's journal, newest first, after rolling the account forward (R19).
--
-- KEYS[1]  account
-- ARGV     1 keys version or "", 2 limit, 3 before: entry id or ""
-- Returns  {"not_found"} {"keys_changed"} {"page", next or "", entry…}
-- Writes   account, journal: only what rolling forward changed
--- @include "lib/keys" "lib/amounts" "lib/calendar" "lib/policy" "lib/journal" "lib/accounts" "lib/grants" "lib/cycles"
local a = accounts.load(string.match(KEYS[1], ":account:(.*)$"))
if not a then return {"not_found"} end
if accounts.keys_changed(a, ARGV[1]) then return {"keys_changed"} end
cycles.roll(a, policy.load())
accounts.check(a)
if #a.new_entries > 0 then accounts.save(a) end
-- Ids count up by one and the newest is first, so an entry's id says where in the list it is.
local start = ARGV[3] ~= "" and math.max(a.entry_count - tonumber(ARGV[3]) + 1, 0) or 0
local stop = start + tonumber(ARGV[2])
local entries = redis.call("LRANGE", keys.journal(a.id), amounts.text(start), amounts.text(stop))
local more = #entries > tonumber(ARGV[2])
if more then entries[#entries] = nil end
return {"page", more and string.match(entries[#entries], "^%d+") or "", unpack(entries)}
