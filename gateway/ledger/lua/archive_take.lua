#!lua flags=allow-oom
-- What changed in some accounts since they were last copied, each as it is at this moment. The marks move aside until
-- `archived` confirms the copy: if it never does, the next call replies with the same accounts.
--
-- KEYS[1]  unarchived
-- Returns  {"taken", oldest mark or "", {account, oldest mark, first missing entry or "", fields, entries, generations,
--          usage, webhooks, billing}…}: entries oldest first; generations {id, place or ""}; usage {day, sums,
--          by key, by tag}; webhooks {id, fields}
-- Writes   unarchived, archiving
--- @include "lib/keys" "lib/amounts" "lib/expiry" "lib/snapshots"
local
  marks_max, -- accounts and generations
  entries_max -- of all together; an account with more is replied again after `archived`
  = unpack(ARGV)
local left, p, expiry, moves = tonumber(entries_max), {}, make_expiry(), false
local marks = redis.call("ZRANGE", keys.archiving(), 0, -1, "WITHSCORES")
if #marks == 0 then
  marks = redis.call("ZRANGE", KEYS[1], 0, amounts.text(tonumber(marks_max) - 1), "WITHSCORES")
  moves = true
end
local order, marked, oldest, taken = {}, {}, {}, {}
for index = 1, #marks, 2 do
  local account, generation = string.match(marks[index], "^(%S+) ?(%S*)$")
  if not marked[account] then
    order[#order + 1], marked[account], oldest[account] = account, {}, amounts.text(tonumber(marks[index + 1]))
  end
  table.insert(marked[account], generation)
end
local reply = {"taken", marks[2] and amounts.text(tonumber(marks[2])) or ""}
for _, account in ipairs(order) do
  if left <= 0 then break end
  local flat, fields = redis.call("HGETALL", keys.account(account)), {}
  for index = 1, #flat, 2 do fields[flat[index]] = flat[index + 1] end
  local reached, since = expiry.reached(fields.archived)
  local entries, missing = snapshots.entries(account, fields, reached, left)
  local named = snapshots.named(marked[account], entries)
  left, taken[account] = left - math.max(#entries, #named), true
  reply[#reply + 1] = {
    account, oldest[account], missing, flat, entries, snapshots.places(account, named),
    snapshots.usage(p, account, fields, since), snapshots.webhooks(account, fields.webhooks),
    redis.call("HGETALL", keys.billing(account)),
  }
end

for index = 1, moves and #marks or 0, 2 do
  if taken[string.match(marks[index], "^%S+")] then
    redis.call("ZADD", keys.archiving(), marks[index + 1], marks[index])
    redis.call("ZREM", KEYS[1], marks[index])
  end
end
return reply
