#!lua flags=no-writes
-- Read the sums of some days: by tool and model, and on request the part of them by key and member, or by a tag.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"keys_changed"} {"usage", {fields, rows} of each day…}
-- Writes   nothing
--- @include "lib/keys"
local
  keys_version, -- or "": do not check
  days, -- 2026-11-22, comma-separated
  by, -- "key", "tag" or ""
  tag -- its name
  = unpack(ARGV)
local account = string.match(KEYS[1], ":account:(.*)$")
local values = redis.call("HMGET", KEYS[1], "created_at", "keys_version")
if not values[1] then return {"not_found"} end
if keys_version ~= "" and keys_version ~= (values[2] or "0") then return {"keys_changed"} end

local function of_tag(day)
  local rows, all = {}, redis.call("HGETALL", keys.usage_tags(account, day))
  for index = 1, #all, 2 do
    local name = string.match(all[index], "^[^|]*|[^|]*|(.*)\t")
    if name == tag then rows[#rows + 1], rows[#rows + 2] = all[index], all[index + 1] end
  end
  return rows
end

local reply = {"usage"}
for day in string.gmatch(days, "[^,]+") do
  local rows = {}
  if by == "key" then rows = redis.call("HGETALL", keys.usage_keys(account, day)) end
  if by == "tag" then rows = of_tag(day) end
  reply[#reply + 1] = {redis.call("HGETALL", keys.usage(account, day)), rows}
end
return reply
