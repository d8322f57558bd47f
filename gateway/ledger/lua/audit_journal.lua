#!lua flags=no-writes
-- Continue reading an account's journal, newest first, from a position that new entries do not shift.
--
-- KEYS[1]  account
-- Returns  {"page", entries}
-- Writes   nothing
--- @include "lib/keys" "lib/amounts"
local
  newest_id, -- of the newest entry when reading began
  read, -- how many entries were read since
  limit
  = unpack(ARGV)
local key = keys.journal(string.match(KEYS[1], ":account:(.*)$"))
local newest = redis.call("LINDEX", key, 0)
if not newest then return {"page", {}} end
local start = tonumber(string.match(newest, "^%d+")) - tonumber(newest_id) + tonumber(read)
return {"page", redis.call("LRANGE", key, amounts.text(start), amounts.text(start + tonumber(limit) - 1))}
