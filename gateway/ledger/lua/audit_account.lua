#!lua flags=no-writes
-- An account as stored, with its newest entry and some of its generations, all at one moment.
--
-- KEYS[1]  account
-- Returns  {"gone"} {"account", "1" if more were made | "0", newest entry or "", fields, generations}
-- Writes   nothing
--- @include "lib/keys"
local
  made_after, -- a place in `recent`: generations created later are read too
  limit, -- of those
  ids -- of generations, comma-separated
  = unpack(ARGV)
local account = string.match(KEYS[1], ":account:(.*)$")
local fields = redis.call("HGETALL", KEYS[1])
if #fields == 0 then return {"gone"} end
local made = redis.call("ZRANGE", keys.recent(account), "(" .. made_after, "+inf", "BYSCORE", "LIMIT", 0, limit + 1)
local more = #made > tonumber(limit)
local found = {}

local function read(id)
  local g = redis.call("HMGET", keys.generation(id), "state", "tool", "price", "allocation")
  if g[1] then found[#found + 1] = {id, g[1], g[2] or "", g[3] or "", g[4] or ""} end
end

for id in string.gmatch(ids, "[^,]+") do read(id) end
for _, id in ipairs(made) do read(id) end
local newest = redis.call("LINDEX", keys.journal(account), 0)
return {"account", more and "1" or "0", newest or "", fields, found}
