#!lua flags=allow-oom
-- Record that a purchase was not paid, and why. A declined one can no longer be paid; after the provider's other
-- statuses, a later payment still counts.
--
-- KEYS[1]  account
-- Returns  {"not_found"} {"checkout", checkout as it is now}
-- Writes   checkout
--- @include "lib/checkouts"
local
  checkout,
  status -- "declined", "expired" or "failed"
  = unpack(ARGV)
local c = checkouts.load(string.match(KEYS[1], ":account:(.*)$"), checkout)
if not c then return {"not_found"} end
if c.fields.status == "open" then
  c.fields.status = status
  checkouts.save(c)
end
return {"checkout", checkouts.reply(c)}
