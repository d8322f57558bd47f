#!lua flags=allow-oom
-- Record an operator's call: before it runs, and again when it has ended, in place of the first entry. A process that
-- dies in between leaves the first.
--
-- KEYS[1]  audit_log
-- Returns  {"logged", the entry's id}
-- Writes   audit_log
--- @include "lib/amounts"
local
  request, -- its id: one entry each
  call, -- JSON
  begun, -- the id of the entry to replace, or ""
  kept_ms, entries_max
  = unpack(ARGV)
-- The Redis client may have sent this call before: it is among the newest then.
for _, entry in ipairs(redis.call("XREVRANGE", KEYS[1], "+", "-", "COUNT", 32)) do
  local logged, fields = entry[1], entry[2]
  if fields[2] == request and logged ~= begun then return {"logged", logged} end
end

local logged = redis.call("XADD", KEYS[1], "*", "request", request, "call", call)
if begun ~= "" then redis.call("XDEL", KEYS[1], begun) end
redis.call("XTRIM", KEYS[1], "MINID", "~", amounts.text(amounts.real_now() - tonumber(kept_ms)), "LIMIT", 1000)
redis.call("XTRIM", KEYS[1], "MAXLEN", "~", entries_max, "LIMIT", 1000)
redis.call("PEXPIRE", KEYS[1], kept_ms)
return {"logged", logged}
