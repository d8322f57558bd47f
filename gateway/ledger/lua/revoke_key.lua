#!lua flags=allow-oom
-- Take a key off an account's list. The new keys version voids every gateway's cache at once.
--
-- KEYS[1]  account
-- ARGV     1 key id
-- Returns  {"not_found"} {"revoked"}
-- Writes   account
if redis.call("HDEL", KEYS[1], "key:" .. ARGV[1]) == 0 then return {"not_found"} end
redis.call("HDEL", KEYS[1], "used:" .. ARGV[1])
redis.call("HINCRBY", KEYS[1], "keys_version", 1)
return {"revoked"}
