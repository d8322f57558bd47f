#!lua
-- Point an address to an account, unless another has it. For a minute a claim stands though its account does not have
-- the address yet: it is being written.
--
-- KEYS[1]  email
-- ARGV     1 account, 2 an account that was seen not to have the address, or ""
-- Returns  {"taken", by account} {"claimed"}
-- Writes   email
--- @include "lib/amounts"
local MINUTE = 60000
local now = amounts.real_now()
local owner, at = string.match(redis.call("GET", KEYS[1]) or "", "^([^,]*),?(%d*)$")
local stands = owner ~= ARGV[2] or now - (tonumber(at) or 0) < MINUTE

if owner ~= "" and owner ~= ARGV[1] and stands then return {"taken", owner} end

redis.call("SET", KEYS[1], ARGV[1] .. "," .. amounts.text(now))
return {"claimed"}
