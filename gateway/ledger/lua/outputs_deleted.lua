#!lua flags=allow-oom
-- Record that a generation's outputs were deleted from the object store.
--
-- KEYS[1]  generation
-- Returns  {"noted"}
-- Writes   outputs; generation, if it is still kept; unarchived
--- @include "lib/amounts" "lib/keys" "lib/generations" "lib/archive"
local id = string.match(KEYS[1], ":generation:(.*)$")
redis.call("ZREM", keys.outputs(), id)
local g = generations.load(id)
if g then
  generations.set(g, "outputs_deleted", "1")
  archive.mark(g.account, amounts.real_now(), id)
end
return {"noted"}
