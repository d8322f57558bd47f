#!lua flags=allow-oom
-- Read an account, rolled forward to now.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"keys_changed"} {"account", view}
-- Writes   account, journal: only what rolling forward changed
--- @include "lib/policy" "lib/accounts" "lib/steps"
local keys_version = unpack(ARGV) -- or "": do not check
local a = accounts.load(string.match(KEYS[1], ":account:(.*)$"))
if not a then return {"not_found"} end
if accounts.keys_changed(a, keys_version) then return {"keys_changed"} end
steps.roll(a, policy.load())
accounts.check(a)
if #a.new_entries > 0 then accounts.save(a) end
return {"account", accounts.view(a)}
