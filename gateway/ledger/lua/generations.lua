#!lua flags=no-writes
-- An account's generations, newest first, filtered; reads 1000 at most (200 by metadata or words, because each is
-- decoded), and returns where to continue.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"keys_changed"} {"page", next or "", fields…}
-- Writes   nothing
--- @include "lib/keys" "lib/amounts"
local
  keys_version, -- or "": do not check
  limit,
  before, -- a generation, or ""
  state, -- or ""
  tool, -- or ""
  model, -- or ""
  created_after, -- at or after, or ""
  created_before, -- or ""
  key, member, -- who asked for it, or ""
  tags, -- a line per tag that it must have, or ""
  metadata, -- to match (JSON: name → text), or ""
  words -- a line per word in its prompt or tags, in lower case, or ""
  = unpack(ARGV)
local LOOKED_AT_MAX = (metadata ~= "" or words ~= "") and 200 or 1000
local account = string.match(KEYS[1], ":account:(.*)$")
local list_key = member ~= "" and keys.made_by(account, member) or keys.recent(account)
local version = redis.call("HMGET", KEYS[1], "created_at", "keys_version")
if not version[1] then return {"not_found"} end
if keys_version ~= "" and keys_version ~= (version[2] or "0") then return {"keys_changed"} end
local from, first, ending = "+inf", tonumber(created_after), tonumber(created_before)
if before ~= "" then
  local order = redis.call("ZSCORE", list_key, before)
  if not order then return {"not_found"} end
  from = "(" .. amounts.text(tonumber(order))
end
if ending and from == "+inf" then
  -- The newest one created before, by binary search. Expired ones are older than all existing ones.
  local low, high = 0, redis.call("ZCARD", list_key)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local id = redis.call("ZRANGE", list_key, amounts.text(middle), amounts.text(middle), "REV")[1]
    local at = tonumber(redis.call("HGET", keys.generation(id), "created_at") or 0)
    if at >= ending then low = middle + 1 else high = middle end
  end
  local found = redis.call("ZRANGE", list_key, amounts.text(low), amounts.text(low), "REV", "WITHSCORES")
  if not found[1] then return {"page", ""} end
  from = amounts.text(tonumber(found[2]))
end
local asked = metadata ~= "" and cjson.decode(metadata)
-- Text is compared as is; numbers are equal in any decimal form.
local function has_metadata(request)
  local has = cjson.decode(request or "{}").metadata or {}
  for name, wanted in pairs(asked) do
    local value = has[name]
    local number = type(value) == "number" and string.match(wanted, "^-?%d[%d.eE+-]*$") and tonumber(wanted)
    local same = value == wanted or number and number == value
      or value == true and wanted == "true" or value == false and wanted == "false"
    if not same then return false end
  end
  return true
end
local function has_tags(lines)
  for line in string.gmatch(tags, "[^\n]+") do
    if not string.find("\n" .. (lines or "") .. "\n", "\n" .. line .. "\n", 1, true) then return false end
  end
  return true
end
local function has_words(request, lines)
  local prompt = cjson.decode(request or "{}").prompt or ""
  local text = string.lower(prompt .. "\n" .. string.gsub(lines or "", "\t", ":"))
  for word in string.gmatch(words, "[^\n]+") do
    if not string.find(text, word, 1, true) then return false end
  end
  return true
end
local page, last = {"page", ""}, nil
limit = tonumber(limit)
local found = redis.call("ZRANGE", list_key, from, "-inf", "BYSCORE", "REV", "LIMIT", 0, LOOKED_AT_MAX + 1)
for index, id in ipairs(found) do
  if #page - 2 == limit or index > LOOKED_AT_MAX then
    page[2] = last
    break
  end
  local values = redis.call("HMGET", keys.generation(id), "state", "tool", "model", "created_at", "key", "tags")
  local at = tonumber(values[4])
  if first and at and at < first then break end
  local wanted = values[1] and (state == "" or state == values[1]) and (tool == "" or tool == values[2])
    and (model == "" or model == values[3]) and (not ending or at < ending)
    and (key == "" or key == values[5]) and has_tags(values[6])
    and (not asked or has_metadata(redis.call("HGET", keys.generation(id), "request")))
    and (words == "" or has_words(redis.call("HGET", keys.generation(id), "request"), values[6]))
  if wanted then page[#page + 1] = {id, redis.call("HGETALL", keys.generation(id))} end
  last = id
end
return page
