-- One purchase: its record. It lives for 400 days after its last change, so that an event counts once also when it
-- comes again months later.
local checkouts = {}
local KEPT = 400 * 86400000

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
