#!lua
-- Point an address to an account, unless another has it. For a minute a claim stands though its account does not have
-- the address yet: it is being written.
--
-- KEYS[1]  email
-- Returns  {"taken", by account} {"claimed"}
-- Writes   email
--- @include "lib/amounts"
local
  account,
  without_it -- an account that was seen not to have the address, or ""
  = unpack(ARGV)
local MINUTE = 60000
local now = amounts.real_now()
local owner, at = string.match(redis.call("GET", KEYS[1]) or "", "^([^,]*),?(%d*)$")
local stands = owner ~= without_it or now - (tonumber(at) or 0) < MINUTE

if owner ~= "" and owner ~= account and stands then return {"taken", owner} end

redis.call("SET", KEYS[1], account .. "," .. amounts.text(now))
return {"claimed"}
