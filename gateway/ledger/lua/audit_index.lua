#!lua flags=no-writes
-- A page of a sorted set of generations (deadlines, waiting, outputs, recent), each with its current state, and the
-- partition's totals at the same moment. A small set is one page.
--
-- KEYS[1]  index
-- Returns  {"page", next cursor or "0", now, totals, {generation, score, state or "", account, tool, price}, …}
-- Writes   nothing
--- @include "lib/keys" "lib/amounts"
local
  cursor, -- "0" at first
  limit -- about
  = unpack(ARGV)
local members
if cursor == "0" and redis.call("ZCARD", KEYS[1]) <= tonumber(limit) then
  members = redis.call("ZRANGE", KEYS[1], 0, -1, "WITHSCORES")
else
  -- Scanned instead of read by rank, so that members that move or leave meanwhile do not hide others.
  cursor, members = unpack(redis.call("ZSCAN", KEYS[1], cursor, "COUNT", limit))
end
local page = {"page", cursor, amounts.text(amounts.real_now()), redis.call("HGETALL", keys.totals())}
for index = 1, #members, 2 do
  local g = redis.call("HMGET", keys.generation(members[index]), "state", "account", "tool", "price")
  page[#page + 1] = {members[index], members[index + 1], g[1] or "", g[2] or "", g[3] or "", g[4] or "0"}
end
return page
