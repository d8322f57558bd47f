-- Draws and holds a price: burn order, and the allocation, which records how much came from which grant (R5, R8).
--- @include "lib/amounts" "lib/buckets" "lib/grants"
local holds = {}

-- R5: bucket, then earliest expiry (none is last), then oldest.
local function burns_before(one, other)
  if one.bucket ~= other.bucket then return buckets.rank[one.bucket] < buckets.rank[other.bucket] end
  local one_expires, other_expires = one.expires or math.huge, other.expires or math.huge
  if one_expires ~= other_expires then return one_expires < other_expires end
  return one.number < other.number
end

-- Split `price` over grants in burn order (R5); nil when there is not enough. Optionally of one bucket only.
function holds.allocate(a, price, bucket)
  table.sort(a.grants, burns_before)
  local allocation, missing = {}, price
  for _, grant in ipairs(a.grants) do
    if missing == 0 then break end
    if grant.available > 0 and (not bucket or grant.bucket == bucket) then
      local part = math.min(grant.available, missing)
      allocation[#allocation + 1] = {bucket = grant.bucket, id = grant.id, amount = part}
      missing = missing - part
    end
  end
  return missing == 0 and allocation or nil
end

function holds.encode(allocation)
  local parts = {}
  for index, share in ipairs(allocation) do
    parts[index] = share.bucket .. ":" .. share.id .. ":" .. amounts.text(share.amount)
  end
  return table.concat(parts, ",")
end

-- Add to a generation's fields what the shares are worth (`lib/worth.lua`), if it is not the usual of all of them.
function holds.note_worths(a, allocation, fields)
  local worths, stored = {}, false
  for index, share in ipairs(allocation) do
    local text = a.fields["worth:" .. share.id]
    worths[index], stored = text or "", stored or text
  end
  if stored then fields[#fields + 1], fields[#fields + 2] = "worth", table.concat(worths, ",") end
end

function holds.decode(text)
  local allocation = {}
  for bucket, id, amount in string.gmatch(text, "(%a):(%a%d+):(%d+)") do
    allocation[#allocation + 1] = {bucket = bucket, id = id, amount = tonumber(amount)}
  end
  return allocation
end

-- Add a change of a bucket to an entry's deltas.
function holds.count(deltas, bucket, credits, held)
  local delta = deltas[bucket] or {0, 0}
  deltas[bucket] = {delta[1] + credits, delta[2] + held}
end

-- Deduct an allocation from the available credits; with `hold`, hold it.
function holds.take(a, allocation, hold)
  local deltas = {}
  for _, share in ipairs(allocation) do
    local grant = grants.find(a, share.id)
    grant.available = grant.available - share.amount
    if hold then grant.held = grant.held + share.amount end
    holds.count(deltas, share.bucket, -share.amount, hold and share.amount or 0)
    grants.drop_if_spent(a, grant)
  end
  return deltas
end
