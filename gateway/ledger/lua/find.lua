#!lua flags=no-writes
-- Generations as operators look for them, by filter: a page of one of a partition's sets (deadlines, failed, outputs)
-- or of an account's (recent). A set that is read `newest` first is read by rank: what is added meanwhile only repeats
-- some. Others are scanned, so that members that move do not hide others.
--
-- KEYS[1]  the set
-- Returns  {"page", next cursor or "0", how many were read, {id, deadline or "", provider, when it is given up or "",
--          the pause that holds it or {}, field, value, …}, …}
-- Writes   nothing
--- @include "lib/keys" "lib/amounts" "lib/generations" "lib/pauses" "lib/standstill"
local
  newest, -- "1" or "0"
  cursor, -- "0" at first
  limit, -- about
  account, states, tool, model, provider, code, -- each or ""; states comma-separated
  created_after, -- at or after, or ""
  created_before -- or ""
  = unpack(ARGV)
local FIELDS = {
  "state", "account", "tool", "model", "error", "created_at", "request", "key", "price", "outputs", "delivered",
  "attempt", "failures", "progress", "committed", "refunded", "given_back", "queued_at", "started_at", "finished_at",
  "give_up_at", "lease_until", "not_before", "parked", "in_line", "ref", "cancel_requested", "terms",
  "providers", "keeps_limit",
}
local ids, first, ending = {}, tonumber(created_after), tonumber(created_before)
limit = tonumber(limit)
if newest == "1" then
  local from = tonumber(cursor)
  ids = redis.call("ZRANGE", KEYS[1], amounts.text(from), amounts.text(from + limit - 1), "REV")
  cursor = #ids == limit and amounts.text(from + limit) or "0"
elseif cursor == "0" and redis.call("ZCARD", KEYS[1]) <= limit then
  ids = redis.call("ZRANGE", KEYS[1], 0, -1)
else
  local flat
  cursor, flat = unpack(redis.call("ZSCAN", KEYS[1], cursor, "COUNT", limit))
  for index = 1, #flat, 2 do ids[#ids + 1] = flat[index] end
end
local function is(asked, value) return asked == "" or asked == value end

local now, page = amounts.real_now(), {"page", cursor, amounts.text(#ids)}
for _, id in ipairs(ids) do
  local values, g = redis.call("HMGET", keys.generation(id), unpack(FIELDS)), {}
  for index, name in ipairs(FIELDS) do g[name] = values[index] or nil end
  local at = tonumber(g.created_at)
  local wanted = at and is(account, g.account) and is(tool, g.tool) and is(model, g.model) and is(code, g.error)
    and (states == "" or string.find("," .. states .. ",", "," .. g.state .. ",", 1, true))
    and not (first and at < first) and not (ending and at >= ending)
  local made_by = wanted and generations.provider(g.request)
  if wanted and is(provider, made_by) then
    local deadline = redis.call("ZSCORE", keys.deadlines(), id)
    local waits = g.state == "waiting" or g.state == "queued" and not g.ref
    local pause, over = waits and pauses.holding(g, now, generations.providers(g)), g.give_up_at
    if waits and not g.keeps_limit then
      over = not pause and not g.in_line and amounts.text(standstill.gives_up_at(g, now))
    end
    local found = {id, deadline and amounts.text(tonumber(deadline)) or "", made_by, over or "", pause or {}}
    g.request = nil
    for name, value in pairs(g) do found[#found + 1], found[#found + 2] = name, value end
    page[#page + 1] = found
  end
end
return page
