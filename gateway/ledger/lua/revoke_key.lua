#!lua flags=allow-oom
-- Remove a key from an account's list. The new keys version invalidates every gateway's cache at once.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"revoked"}
-- Writes   account
local key_id = unpack(ARGV)
if redis.call("HEXISTS", KEYS[1], "key:" .. key_id) == 0 then return {"not_found"} end
-- The limit and what was spent of it stay for as long as there is a predecessor or a successor.
local purse = redis.call("HGET", KEYS[1], "succeeds:" .. key_id) or key_id
local shared = false
for _, name in ipairs(redis.call("HKEYS", KEYS[1])) do
  local other = string.match(name, "^key:(.*)$")
  if other and other ~= key_id then
    shared = shared or (redis.call("HGET", KEYS[1], "succeeds:" .. other) or other) == purse
  end
end

redis.call(
  "HDEL", KEYS[1], "key:" .. key_id, "used:" .. key_id, "bound:" .. key_id, "succeeds:" .. key_id, "rotated:" .. key_id)
if not shared then redis.call("HDEL", KEYS[1], "limit:" .. purse, "counted:" .. purse) end
redis.call("HINCRBY", KEYS[1], "keys_version", 1)
return {"revoked"}
