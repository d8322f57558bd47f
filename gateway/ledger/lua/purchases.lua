#!lua flags=no-writes
-- A page of an account's purchases, newest first.
--
-- KEYS[1]  account
-- ARGV     1 keys version or "", 2 limit, 3 after this purchase in the list, or "", 4 begun at or after, or "", 5 begun
--          before, or ""
-- Returns  {"not_found"} {"keys_changed"} {"page", next or "", {checkout, cents that went back of a plan}…}
-- Writes   nothing
--- @include "lib/keys" "lib/amounts" "lib/checkouts"
local account = string.match(KEYS[1], ":account:(.*)$")
local version = redis.call("HMGET", KEYS[1], "created_at", "keys_version")
if not version[1] then return {"not_found"} end
if ARGV[1] ~= "" and ARGV[1] ~= (version[2] or "0") then return {"keys_changed"} end
local key, limit, start = keys.purchases(account), tonumber(ARGV[2]), 0
if ARGV[3] ~= "" then
  local rank = redis.call("ZREVRANK", key, ARGV[3])
  if not rank then return {"not_found"} end
  start = rank + 1
end
if ARGV[5] ~= "" then start = math.max(start, redis.call("ZCOUNT", key, ARGV[5], "+inf")) end
local least, page, last, billing = tonumber(ARGV[4]) or 0, {"page", ""}, nil, nil
local found = redis.call("ZREVRANGE", key, amounts.text(start), amounts.text(start + limit), "WITHSCORES")
for index = 1, #found, 2 do
  if tonumber(found[index + 1]) < least then break end
  if index > 2 * limit then
    page[2] = last
    break
  end
  last = found[index]
  local c = checkouts.load(account, last)
  if c then
    local plan = c.fields.kind == "plan"
    if plan and not billing then billing = redis.call("HGETALL", keys.billing(account)) end
    page[#page + 1] = {checkouts.reply(c), amounts.text(plan and checkouts.returned(c, billing) or 0)}
  end
end
return page
