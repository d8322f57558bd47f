#!lua flags=no-writes
-- The fields of some generations that the audit checks, without their requests, all at one moment.
--
-- KEYS[1]  deadlines
-- Returns  {"generations", now, {field, value, …}, …}: one for each
-- Writes   nothing
--- @include "lib/keys" "lib/amounts"
local ids = unpack(ARGV) -- comma-separated
local FIELDS = {
  "account", "tool", "state", "price", "outputs", "delivered", "allocation", "committed", "refunded", "entries",
  "created_at", "outputs_deleted", "member", "meters", "charged",
}
local reply = {"generations", amounts.text(amounts.real_now())}
for id in string.gmatch(ids, "[^,]+") do
  local key, g, fields = keys.generation(id), {}, {}
  local function note(name, value)
    if value then
      g[name] = value
      fields[#fields + 1] = name
      fields[#fields + 1] = type(value) == "number" and amounts.text(value) or value
    end
  end
  local values = redis.call("HMGET", key, unpack(FIELDS))
  for index, name in ipairs(FIELDS) do note(name, values[index]) end
  note("lives_ms", redis.call("PTTL", key))
  note("in_deadlines", redis.call("ZSCORE", KEYS[1], id))
  note("in_outputs", redis.call("ZSCORE", keys.outputs(), id))
  local stored = 0
  for index = 0, tonumber(g.outputs or 0) - 1 do
    local there = redis.call("HEXISTS", key, "output:" .. index)
    stored = stored + there
    if g.meters and there == 1 then note("reported:" .. index, redis.call("HGET", key, "reported:" .. index) or "") end
  end
  note("outputs_stored", stored)
  if g.account then
    note("account_exists", redis.call("EXISTS", keys.account(g.account)))
    local listed = redis.call("ZSCORE", keys.recent(g.account), id)
    if g.member then listed = listed and redis.call("ZSCORE", keys.made_by(g.account, g.member), id) end
    note("in_recent", listed)
    note("in_waiting", redis.call("ZSCORE", keys.waiting(g.account, g.tool or ""), id))
  end
  reply[#reply + 1] = fields
end
return reply
