-- One purchase: its record, and its place in the account's list. The record lives for 400 days after its last change,
-- so that an event repeated months later still counts once.
--- @include "lib/keys"
local checkouts = {}
local KEPT = 400 * 86400000
local EXPIRED_LOOKED_AT = 16

function checkouts.load(account, id)
  local flat = redis.call("HGETALL", keys.checkout(account, id))
  if #flat == 0 then return nil end
  local c = {id = id, account = account, fields = {}}
  for index = 1, #flat, 2 do c.fields[flat[index]] = flat[index + 1] end
  return c
end

function checkouts.save(c)
  local key, flat = keys.checkout(c.account, c.id), {}
  for name, value in pairs(c.fields) do
    flat[#flat + 1] = name
    flat[#flat + 1] = value
  end
  redis.call("HSET", key, unpack(flat))
  redis.call("PEXPIRE", key, KEPT)
  checkouts.list(c)
end

-- The list has each purchase with its start time, and is kept as long as the last of its records.
function checkouts.list(c)
  local key = keys.purchases(c.account)
  redis.call("ZADD", key, "NX", c.fields.created_at, c.id)
  redis.call("PEXPIRE", key, KEPT)
end

-- Remove purchases with expired records from the list. Checks the oldest 16, so that each new one makes room.
function checkouts.unlist_expired(account)
  local key = keys.purchases(account)
  for _, id in ipairs(redis.call("ZRANGE", key, 0, EXPIRED_LOOKED_AT - 1)) do
    if redis.call("EXISTS", keys.checkout(account, id)) == 0 then redis.call("ZREM", key, id) end
  end
end

-- How much of a plan's payments was returned, in cents: of each invoice the share of its refunds and disputes together,
-- at most all of it. `record` is the account's billing record, read once.
function checkouts.returned(c, record)
  local id, shares, total = c.fields.ref, {}, 0
  if not id then return 0 end
  for index = 1, #record, 2 do
    local of, word, rest = string.match(record[index], "^([^|]+)|(%a+)|(.*)$")
    if of == id and word == "returned" then
      local part, whole = string.match(record[index + 1], "^-?%d+,(%d+)/(%d+)$")
      local invoice = string.match(rest, "^[^|]+")
      shares[invoice] = math.min(1, (shares[invoice] or 0) + tonumber(part) / tonumber(whole))
    end
  end
  for index = 1, next(shares) and #record or 0, 2 do
    if string.sub(record[index], 1, #id + 6) == id .. "|line|" then
      local line = cjson.decode(record[index + 1])
      total = total + (shares[line.invoice] or 0) * line.amount
    end
  end
  return math.max(0, math.floor(total + 0.5))
end

-- A record as a reply: its id, then its fields by pairs.
function checkouts.reply(c)
  local flat = {}
  for name, value in pairs(c.fields) do
    flat[#flat + 1] = name
    flat[#flat + 1] = value
  end
  return {c.id, flat}
end
