#!lua
-- Give a key of an account a successor with the same label, bounds and limit; what the key has spent of the limit
-- counts for both. The key itself expires after a while.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"keys_changed"} {"refused", "forbidden", ""} {"already", its successor}
--          {"rotated", account}: also if this successor was added before
-- Writes   account
--- @include "lib/amounts" "lib/accounts" "lib/policy" "lib/steps" "lib/members"
local
  key_id, successor,
  overlap_ms, -- for how long the key stays valid
  keys_version, -- or "": do not check
  by -- the member who rotates it; "": an operator
  = unpack(ARGV)
local a = accounts.load(string.match(KEYS[1], ":account:(.*)$"))
if a and accounts.keys_changed(a, keys_version) then return {"keys_changed"} end
local known = a and a.fields["key:" .. key_id]
if not known then return {"not_found"} end
if not members.may_use(a, by, members.of_key(a, key_id)) then return {"refused", "forbidden", ""} end
local f, rotated = a.fields, a.fields["rotated:" .. key_id]
-- A revoked successor (its secret was lost, say) makes way for another one, and does not return itself.
local lives = rotated and f["key:" .. rotated]
if rotated and (rotated == successor) ~= (lives ~= nil) then return {"already", rotated} end
steps.roll(a, policy.load(f.plan))
if not lives then
  local bounds = f["bound:" .. key_id]
  f["key:" .. successor] = amounts.text(a.real) .. string.match(known, "^%d+(,.*)$")
  f["bound:" .. successor], f["of:" .. successor] = bounds, f["of:" .. key_id]
  f["succeeds:" .. successor] = f["succeeds:" .. key_id] or key_id
  f["rotated:" .. key_id] = successor
  bounds = cjson.decode(bounds or "{}")
  -- A bound may be null, which is no number.
  bounds.expires_at = amounts.text(math.min(tonumber(bounds.expires_at) or math.huge, a.real + tonumber(overlap_ms)))
  f["bound:" .. key_id] = cjson.encode(bounds)
  f.keys_version = amounts.text(accounts.count(a, "keys_version") + 1)
end
accounts.check(a)

accounts.save(a)
return {"rotated", accounts.view(a)}
