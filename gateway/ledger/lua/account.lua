#!lua flags=allow-oom
-- Read an account, rolled forward to now.
--
-- KEYS[1]  account
-- ARGV     1 keys version or ""
-- Returns  {"not_found"} {"keys_changed"} {"account", view}
-- Writes   account, journal: only what rolling forward changed
--- @include "lib/policy" "lib/accounts" "lib/steps"
local a = accounts.load(string.match(KEYS[1], ":account:(.*)$"))
if not a then return {"not_found"} end
if accounts.keys_changed(a, ARGV[1]) then return {"keys_changed"} end
steps.roll(a, policy.load())
accounts.check(a)
if #a.new_entries > 0 then accounts.save(a) end
return {"account", accounts.view(a)}
