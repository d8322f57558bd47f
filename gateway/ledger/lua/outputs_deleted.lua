#!lua flags=allow-oom
-- Record that a generation's outputs were deleted from the object store.
--
-- KEYS[1]  generation
-- Returns  {"noted"}
-- Writes   outputs; generation, if it is still kept; unarchived
--- @include "lib/amounts" "lib/keys" "lib/generations" "lib/archive"
local id = string.match(KEYS[1], ":generation:(.*)$")
redis.call("ZREM", keys.outputs(), id)
local account = redis.call("HGET", KEYS[1], "account")
if account then
  generations.set(id, "outputs_deleted", "1")
  archive.mark(account, amounts.real_now(), id)
end
return {"noted"}
