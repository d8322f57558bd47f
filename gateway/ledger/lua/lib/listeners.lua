-- Webhook subscriptions, as text that account scripts can read: in the account, or for operators in the policy.
--- @include "lib/amounts" "lib/keys" "lib/webhooks" "lib/archive"
local listeners = {}

local function key_of(owner)
  return owner == webhooks.OPERATOR and keys.policy() or keys.account(owner)
end

-- All of an owner's, oldest first: {{id, events}, …}.
function listeners.load(owner)
  local list = {}
  local key = key_of(owner)
  local text = redis.call("HGET", key, "webhooks") or ""
  for id, heard in string.gmatch(text, "([^=;]+)=([^;]*)") do
    list[#list + 1] = {id, heard}
  end
  return list
end

-- Whether the owner exists.
function listeners.owned(owner)
  return owner == webhooks.OPERATOR or redis.call("EXISTS", keys.account(owner)) == 1
end

-- Subscribe a webhook to these events (comma-separated); nil: unsubscribe.
function listeners.set(owner, id, heard)
  local key, parts, found = key_of(owner), {}, false
  for _, one in ipairs(listeners.load(owner)) do
    if one[1] == id then one[2], found = heard, true end
    if one[2] then parts[#parts + 1] = one[1] .. "=" .. one[2] end
  end
  if not found and heard then parts[#parts + 1] = id .. "=" .. heard end
  if #parts > 0 then
    redis.call("HSET", key, "webhooks", table.concat(parts, ";"))
  else
    redis.call("HDEL", key, "webhooks")
  end
  if owner ~= webhooks.OPERATOR then archive.mark(owner, amounts.real_now()) end
end
