-- One purchase: its record, and what is taken back of it. A record lives for 400 days after its last change, so that
-- an event counts once also when it comes again months later.
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

-- Take back what is due of a paid bundle and was not asked for before: of what is left of its own grant, never more.
-- Once all of it is due, what open generations hold of it goes the same way when it comes back.
function checkouts.take_back(a, c)
  local f = c.fields
  local due, asked = tonumber(f.due or 0), tonumber(f.asked or 0)
  if f.status ~= "paid" or not f.grant or due <= asked then return end
  f.asked = f.due
  local grant, taken = grants.find(a, f.grant), 0
  if not grant then return end
  local everything = due == tonumber(f.credits)
  if everything and grant.held > 0 and not grants.revoked(a, grant.id) then
    a.fields.revoked = a.fields.revoked and a.fields.revoked .. "," .. grant.id or grant.id
  end
  taken = grants.revoke(a, grant, everything and grant.available or due - asked)
  if taken == 0 then return end
  f.taken = amounts.text(tonumber(f.taken or 0) + taken)
  journal.add(a, a.now, "revoke", {t = {-taken, 0}}, nil, "payment for " .. f.name .. " returned")
end
