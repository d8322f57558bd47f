#!lua flags=no-writes
-- Read on in an account's journal, newest first, from a place that new entries do not move.
--
-- KEYS[1]  account
-- ARGV     1 id of the entry that was the newest when the reading began, 2 how many were read since, 3 how many now
-- Returns  {"page", entries}
-- Writes   nothing
--- @include "lib/keys" "lib/amounts"
local key = keys.journal(string.match(KEYS[1], ":account:(.*)$"))
local newest = redis.call("LINDEX", key, 0)
if not newest then return {"page", {}} end
local start = tonumber(string.match(newest, "^%d+")) - tonumber(ARGV[1]) + tonumber(ARGV[2])
return {"page", redis.call("LRANGE", key, amounts.text(start), amounts.text(start + tonumber(ARGV[3]) - 1))}
