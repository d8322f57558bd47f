#!lua flags=allow-oom
-- Note that nothing was paid for a purchase, and why. One that was declined cannot be paid any more; where a provider
-- said the other words, its word that it was paid counts all the same.
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
