#!lua flags=allow-oom
-- Note that the archive has what `archive_take` replied with, and trim what has expired of it. An account whose journal
-- was longer than one reply is marked again, as old as it was.
--
-- KEYS[1]  unarchived
-- Returns  {"noted"}
-- Writes   unarchived, archiving, account, usage; recent, journal, generation, made_by
--- @include "lib/keys" "lib/amounts" "lib/expiry" "lib/trimming"
local
  copied, -- JSON: {account, last entry, account time, whole: 1 or 0, oldest mark, {day, …}}, …
  trimmed_max -- of each list and journal
  = unpack(ARGV)
local expiry, now = make_expiry(), amounts.real_now()
local kept = amounts.text(expiry.kept({}, "usage"))
copied, trimmed_max = cjson.decode(copied), tonumber(trimmed_max)

local noted = {}
for _, one in ipairs(copied) do noted[one[1]] = true end
local done = {}
for _, mark in ipairs(redis.call("ZRANGE", keys.archiving(), 0, -1)) do
  if noted[string.match(mark, "^%S+")] then done[#done + 1] = mark end
end

for _, mark in ipairs(done) do redis.call("ZREM", keys.archiving(), mark) end
for _, one in ipairs(copied) do
  local account, entry, time, whole, marked_at, days = unpack(one)
  if redis.call("EXISTS", keys.account(account)) == 1 then
    redis.call("HSET", keys.account(account), "archived", entry .. "," .. time)
    if whole == 0 then redis.call("ZADD", keys.unarchived(), "NX", marked_at, account) end
    local changed = redis.call("ZSCORE", keys.unarchived(), account)
    for _, day in ipairs(changed and {} or days) do
      redis.call("PEXPIRE", keys.usage(account, day), kept)
      redis.call("PEXPIRE", keys.usage_keys(account, day), kept)
      redis.call("PEXPIRE", keys.usage_tags(account, day), kept)
    end
    trimming.run(account, now, trimmed_max)
  end
end
return {"noted"}
