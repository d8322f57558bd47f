#!lua flags=allow-oom
-- Record an operator's call: before it runs, and again when it has ended, in place of the first entry. A process that
-- dies in between leaves the first. Entries are "<id> <request> <call>", all with one score, so in order of their ids.
-- Not a stream: what is deleted from one keeps its memory until its whole node is empty.
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
local newest = redis.call("ZREVRANGE", KEYS[1], 0, 31)
for _, entry in ipairs(newest) do
  local logged, of = string.match(entry, "^(%S+) (%S+) ")
  if of == request and logged ~= begun then return {"logged", logged} end
end
-- The id is the time and a number, of fixed widths. It never goes back, also where the clock does.
local now, number = amounts.real_now(), 0
local last, last_number = string.match(newest[1] or "", "^(%d+)-(%d+) ")
if last and tonumber(last) >= now then now, number = tonumber(last), tonumber(last_number) + 1 end
local logged = string.format("%015d-%06d", now, number)
local aged = redis.call("ZLEXCOUNT", KEYS[1], "-", string.format("(%015d", amounts.real_now() - tonumber(kept_ms)))
local count = redis.call("ZCARD", KEYS[1]) + (begun == "" and 1 or 0)
local gone = math.min(math.max(aged, count - tonumber(entries_max)), 1000)

redis.call("ZADD", KEYS[1], 0, logged .. " " .. request .. " " .. call)
if begun ~= "" then redis.call("ZREMRANGEBYLEX", KEYS[1], "[" .. begun .. " ", "(" .. begun .. "!") end
if gone > 0 then redis.call("ZREMRANGEBYRANK", KEYS[1], 0, gone - 1) end
redis.call("PEXPIRE", KEYS[1], kept_ms)
return {"logged", logged}
