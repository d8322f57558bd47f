#!lua flags=allow-oom
-- Note that a purchase was declined: nothing was paid, and it cannot be paid any more.
--
-- KEYS[1]  account
-- ARGV     1 checkout
-- Returns  {"not_found"} {"checkout", checkout as it is now}
-- Writes   checkout
--- @include "lib/keys" "lib/checkouts"
local c = checkouts.load(string.match(KEYS[1], ":account:(.*)$"), ARGV[1])
if not c then return {"not_found"} end
if c.fields.status == "open" then
  c.fields.status = "declined"
  checkouts.save(c)
end
return {"checkout", checkouts.reply(c)}
