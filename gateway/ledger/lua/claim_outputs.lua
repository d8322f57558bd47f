#!lua flags=allow-oom
-- Claim ended generations whose outputs must be deleted, longest overdue first, so that caretakers share the work.
-- When a claim expires, because the caretaker died or the store failed, they are due again.
--
-- KEYS[1]  outputs
-- Returns  {generation, …}
-- Writes   outputs
--- @include "lib/amounts"
local limit, claim_ms = unpack(ARGV)
local now = amounts.real_now()
local due = redis.call("ZRANGE", KEYS[1], "-inf", amounts.text(now), "BYSCORE", "LIMIT", 0, limit)

for _, id in ipairs(due) do redis.call("ZADD", KEYS[1], "XX", amounts.text(now + tonumber(claim_ms)), id) end
return due
