#!lua flags=allow-oom
-- An account has given an address up: nothing points there any more, unless another has claimed it.
--
-- KEYS[1]  email
-- ARGV     1 account
-- Returns  {"released"}
-- Writes   email
if string.match(redis.call("GET", KEYS[1]) or "", "^[^,]*") == ARGV[1] then redis.call("DEL", KEYS[1]) end
return {"released"}
