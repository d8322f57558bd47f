#!lua flags=allow-oom
-- An account has given up an email: remove the entry, unless another account has claimed it.
--
-- KEYS[1]  email
-- Returns  {"released"}
-- Writes   email
local account = unpack(ARGV)
if string.match(redis.call("GET", KEYS[1]) or "", "^[^,]*") == account then redis.call("DEL", KEYS[1]) end
return {"released"}
