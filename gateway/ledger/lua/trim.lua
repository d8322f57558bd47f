#!lua flags=allow-oom
-- Trim expired entries of an account's list and journal, at most `limit` of each. Endings and new entries also trim;
-- this is for idle accounts. The newest entry is kept: the balance is checked against it.
--
-- KEYS[1]  account
-- Returns  {"trimmed", how many}
-- Writes   recent, journal
--- @include "lib/keys" "lib/amounts" "lib/policy"
local limit = unpack(ARGV) -- of each
local account = string.match(KEYS[1], ":account:(.*)$")
local now, p = amounts.real_now(), {}
limit = tonumber(limit)
local unlisted = redis.call(
  "ZCOUNT", keys.recent(account), "-inf", amounts.text(now - policy.kept(p, "lists")))
unlisted = math.min(unlisted, limit)
local oldest = redis.call("LRANGE", keys.journal(account), -limit, -1)
local aged = 0
for index = #oldest, 1, -1 do
  if tonumber(string.match(oldest[index], "^%d+|(%d+)|")) >= now - policy.kept(p, "journal") then break end
  aged = aged + 1
end
aged = math.min(aged, math.max(redis.call("LLEN", keys.journal(account)) - 1, 0))

if unlisted > 0 then redis.call("ZREMRANGEBYRANK", keys.recent(account), 0, unlisted - 1) end
if aged > 0 then redis.call("LTRIM", keys.journal(account), 0, -aged - 1) end
return {"trimmed", amounts.text(unlisted + aged)}
