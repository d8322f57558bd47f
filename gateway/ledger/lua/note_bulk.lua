#!lua flags=allow-oom
-- Store what an operators' bulk operation is to do, or what it has done, and for how long it is kept (R36).
--
-- KEYS[1]  bulk
-- Returns  {"noted"}
-- Writes   bulk
local
  fields, -- JSON: field, value, …
  kept_seconds
  = unpack(ARGV)
local flat = cjson.decode(fields)

redis.call("HSET", KEYS[1], unpack(flat))
redis.call("EXPIRE", KEYS[1], kept_seconds)
return {"noted"}
