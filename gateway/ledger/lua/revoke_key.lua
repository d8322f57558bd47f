#!lua flags=allow-oom
-- Remove a key from an account's list. The new keys version invalidates every gateway's cache at once.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"revoked"}
-- Writes   account
local key_id = unpack(ARGV)
if redis.call("HDEL", KEYS[1], "key:" .. key_id) == 0 then return {"not_found"} end
redis.call("HDEL", KEYS[1], "used:" .. key_id, "bound:" .. key_id, "limit:" .. key_id, "counted:" .. key_id)
redis.call("HINCRBY", KEYS[1], "keys_version", 1)
return {"revoked"}
