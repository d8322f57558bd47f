#!lua flags=allow-oom
-- Refund immediately if it is not running, else ask the worker to stop (R18).
--
-- KEYS[1]  generation
-- Returns  {"not_found"} {"keys_changed"} {"unchanged", generation} {"cancel_requested", generation, dispatch or {}}
--          {"ended", …}
-- Writes   generation, deadlines; all that an ending writes
--- @include "lib/keys" "lib/amounts" "lib/generations" "lib/ending"
local
  account, -- or "": any
  keys_version, -- or "": do not check
  member, -- or "": any of the account
  reason, -- an operator's, or ""
  dispatch_ms
  = unpack(ARGV)
local g = generations.load(string.match(KEYS[1], ":generation:(.*)$"))
dispatch_ms = tonumber(dispatch_ms)
-- Another account's generation may be in another partition than the caller's keys version, so it is refused first.
if not g or (account ~= "" and g.account ~= account) then return {"not_found"} end
local version = account ~= "" and redis.call("HGET", keys.account(account), "keys_version") or "0"
if account ~= "" and keys_version ~= "" and keys_version ~= version then return {"keys_changed"} end
if member ~= "" and g.member ~= member then return {"not_found"} end
if not generations.open(g) then return {"unchanged", generations.reply(g.id)} end
if reason ~= "" then g.reason = reason end
if g.state ~= "running" then return ending.run(g, "cancelled", "", g.operation, dispatch_ms) end

if not g.cancel_requested then generations.set(g, "cancel_requested", "1") end
if reason ~= "" then redis.call("HSET", KEYS[1], "because", reason) end
if not g.parked then return {"cancel_requested", generations.reply(g.id), {}} end
local deadline = amounts.real_now() + dispatch_ms
generations.set_deadline(g.id, deadline)
return {"cancel_requested", generations.reply(g.id), generations.dispatch(g, deadline)}
