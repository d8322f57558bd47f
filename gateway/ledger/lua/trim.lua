#!lua flags=allow-oom
-- Trim expired entries of an account's list and journal, at most `limit` of each. Endings and new entries also trim;
-- this is for idle accounts. The newest entry is kept: the balance is checked against it.
--
-- KEYS[1]  account
-- Returns  {"trimmed", how many}
-- Writes   recent, journal; with an archive also generation, made_by, unarchived
--- @include "lib/amounts" "lib/archive" "lib/expiry" "lib/trimming"
local limit = unpack(ARGV) -- of each
local account = string.match(KEYS[1], ":account:(.*)$")
local now = amounts.real_now()
-- Of an account that was changed by a version without an archive, or before it was switched on, there is no mark.
local entries, archived = unpack(redis.call("HMGET", KEYS[1], "entries", "archived"), 1, 2)
if entries and make_expiry().reached(archived) < tonumber(entries) then archive.mark(account, now) end
return {"trimmed", amounts.text(trimming.run(account, now, tonumber(limit)))}
