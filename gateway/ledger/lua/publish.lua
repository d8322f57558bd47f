#!lua flags=allow-oom
-- Write the policy of a rate card, unless a newer one is in force. Plans it no longer has keep their last terms.
--
-- KEYS[1]  policy
-- Returns  {"newer", its version} {"published"}
-- Writes   policy
local
  version, file_time, keep_journal_ms,
  keep_least_ms, -- the same, or how long what is archived is kept, if that is less
  fields -- the others (JSON: field, value, …)
  = unpack(ARGV)
local known = redis.call("HMGET", KEYS[1], "file_time", "version", "keep:journal_least")
if known[1] and tonumber(known[1]) > tonumber(file_time) then return {"newer", known[2]} end
local gone = {}
for _, field in ipairs(redis.call("HKEYS", KEYS[1])) do
  if string.match(field, "^sale:") then gone[#gone + 1] = field end
end
-- Trimmed entries are gone, even if journals are kept longer from now on: the audit must not expect them.
local least = tonumber(known[3] or keep_least_ms) < tonumber(keep_least_ms) and known[3] or keep_least_ms
fields = cjson.decode(fields)

if #gone > 0 then redis.call("HDEL", KEYS[1], unpack(gone)) end
redis.call(
  "HSET", KEYS[1], "version", version, "file_time", file_time, "keep:journal", keep_journal_ms,
  "keep:journal_least", least, unpack(fields))
return {"published"}
