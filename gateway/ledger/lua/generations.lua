#!lua flags=no-writes
-- An account's generations, newest first, filtered; looks at 1000 at most, and says where to go on.
--
-- KEYS[1]  account
-- ARGV     1 keys version or "", 2 limit, 3 before: generation or "", 4 state or "", 5 tool or "", 6 model or ""
-- Returns  {"not_found"} {"keys_changed"} {"page", next or "", fields…}
-- Writes   nothing
--- @include "lib/keys" "lib/amounts" "lib/generations"
local LOOKED_AT_MAX = 1000
local account = string.match(KEYS[1], ":account:(.*)$")
local version = redis.call("HMGET", KEYS[1], "created_at", "keys_version")
if not version[1] then return {"not_found"} end
if ARGV[1] ~= "" and ARGV[1] ~= (version[2] or "0") then return {"keys_changed"} end
local from = "+inf"
if ARGV[3] ~= "" then
  local order = redis.call("ZSCORE", keys.recent(account), ARGV[3])
  if not order then return {"not_found"} end
  from = "(" .. amounts.text(tonumber(order))
end
local limit, page, last = tonumber(ARGV[2]), {"page", ""}, nil
local found = redis.call("ZRANGE", keys.recent(account), from, "-inf", "BYSCORE", "REV", "LIMIT", 0, LOOKED_AT_MAX + 1)
for index, id in ipairs(found) do
  if #page - 2 == limit or index > LOOKED_AT_MAX then
    page[2] = last
    break
  end
  local values = redis.call("HMGET", keys.generation(id), "state", "tool", "model")
  local wanted = values[1] and (ARGV[4] == "" or ARGV[4] == values[1]) and (ARGV[5] == "" or ARGV[5] == values[2])
    and (ARGV[6] == "" or ARGV[6] == values[3])
  if wanted then page[#page + 1] = {id, redis.call("HGETALL", keys.generation(id))} end
  last = id
end
return page
