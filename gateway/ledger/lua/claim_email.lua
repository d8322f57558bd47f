#!lua
-- Assign an email to an account, unless another has it. A claim holds for a minute even if its account does not have
-- the email yet, because it is being written.
--
-- KEYS[1]  email
-- Returns  {"taken", by account} {"claimed"}
-- Writes   email
--- @include "lib/amounts"
local
  account,
  without_it -- an account that no longer has the email, or ""
  = unpack(ARGV)
local MINUTE = 60000
local now = amounts.real_now()
local owner, at = string.match(redis.call("GET", KEYS[1]) or "", "^([^,]*),?(%d*)$")
local stands = owner ~= without_it or now - (tonumber(at) or 0) < MINUTE

if owner ~= "" and owner ~= account and stands then return {"taken", owner} end

redis.call("SET", KEYS[1], account .. "," .. amounts.text(now))
return {"claimed"}
