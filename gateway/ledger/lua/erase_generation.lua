#!lua flags=allow-oom
-- Remove from an ended generation what its account's person wrote; its price, movements and figures stay (R38).
--
-- KEYS[1]  generation
-- Returns  {"not_found"} {"open"} {"erased"}
-- Writes   generation, unarchived
--- @include "lib/amounts" "lib/generations" "lib/archive"
local request = unpack(ARGV) -- what is left of it, as JSON
local id = string.match(KEYS[1], ":generation:(.*)$")
local g = generations.load(id)
if not g then return {"not_found"} end
if generations.open(g) then return {"open"} end

generations.set(g, "request", request)
generations.remove(g, "tags", "webhook", "webhook_form", "webhook_only")
archive.mark(g.account, amounts.real_now(), id)
return {"erased"}
