#!lua flags=allow-oom
-- Write what scripts need of a rate card, unless a newer one is there. Plans that it lacks keep their last terms.
--
-- KEYS[1]  policy
-- ARGV     1 version, 2 file time, 3 how long journals are kept (ms), then field, value, …
-- Returns  {"newer", its version} {"published"}
-- Writes   policy
local known = redis.call("HMGET", KEYS[1], "file_time", "version", "keep:journal_least")
if known[1] and tonumber(known[1]) > tonumber(ARGV[2]) then return {"newer", known[2]} end
local gone = {}
for _, field in ipairs(redis.call("HKEYS", KEYS[1])) do
  if string.match(field, "^sale:") then gone[#gone + 1] = field end
end
-- What was once trimmed is gone, however long journals are kept from now on: the audit must not look for it.
local least = tonumber(known[3] or ARGV[3]) < tonumber(ARGV[3]) and known[3] or ARGV[3]

if #gone > 0 then redis.call("HDEL", KEYS[1], unpack(gone)) end
redis.call(
  "HSET", KEYS[1], "version", ARGV[1], "file_time", ARGV[2], "keep:journal", ARGV[3], "keep:journal_least", least,
  unpack(ARGV, 4))
return {"published"}
