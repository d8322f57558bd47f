#!lua flags=allow-oom
-- Record that a generation's outputs were deleted from the object store.
--
-- KEYS[1]  generation
-- Returns  {"noted"}
-- Writes   outputs; generation, if it is still kept
--- @include "lib/keys" "lib/generations"
local id = string.match(KEYS[1], ":generation:(.*)$")
redis.call("ZREM", keys.outputs(), id)
if redis.call("EXISTS", KEYS[1]) == 1 then generations.set(id, "outputs_deleted", "1") end
return {"noted"}
