#!lua flags=no-writes
-- A page of the webhooks with pending deliveries, each with whether it exists.
--
-- KEYS[1]  webhooks
-- Returns  {"page", next cursor or "0", {webhook, there "1"/"0"}, …}
-- Writes   nothing
--- @include "lib/webhook_keys"
local
  cursor, -- "0" at first
  limit -- about
  = unpack(ARGV)
local after, members = unpack(redis.call("ZSCAN", KEYS[1], cursor, "COUNT", limit))
local page = {"page", after}
for index = 1, #members, 2 do
  local owner, id = string.match(members[index], "^([^:]+):([^:]+)$")
  local there = owner and redis.call("EXISTS", webhook_keys.webhook(owner, id)) == 1
  page[#page + 1] = {members[index], there and "1" or "0"}
end
return page
