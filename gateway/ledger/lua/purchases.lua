#!lua flags=no-writes
-- A page of an account's purchases, newest first.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"keys_changed"} {"page", next or "", {checkout, cents refunded of a plan}…}
-- Writes   nothing
--- @include "lib/keys" "lib/amounts" "lib/checkouts"
local
  keys_version, -- or "": do not check
  limit,
  after, -- a purchase of the list, or ""
  begun_after, -- at or after, or ""
  begun_before -- or ""
  = unpack(ARGV)
local account = string.match(KEYS[1], ":account:(.*)$")
local version = redis.call("HMGET", KEYS[1], "created_at", "keys_version")
if not version[1] then return {"not_found"} end
if keys_version ~= "" and keys_version ~= (version[2] or "0") then return {"keys_changed"} end
local key, start = keys.purchases(account), 0
limit = tonumber(limit)
if after ~= "" then
  local rank = redis.call("ZREVRANK", key, after)
  if not rank then return {"not_found"} end
  start = rank + 1
end
if begun_before ~= "" then start = math.max(start, redis.call("ZCOUNT", key, begun_before, "+inf")) end
local least, page, last, billing = tonumber(begun_after) or 0, {"page", ""}, nil, nil
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
