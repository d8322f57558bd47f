-- Grants: burn order, holds, and where credits go back to (R5, R8, R9, R10).
-- Kind letters: d daily, m monthly, t top-up, o operator, r refund. Bucket letters: f, s, t.
--- @include "lib/allotted"
local grants = {}
local HOUR = 3600000

-- R5: bucket, then earliest expiry (none is last), then oldest.
local function burns_before(one, other)
  -- The letters of the buckets happen to be in their order: f, s, t.
  if one.bucket ~= other.bucket then return one.bucket < other.bucket end
  local one_expires, other_expires = one.expires or math.huge, other.expires or math.huge
  if one_expires ~= other_expires then return one_expires < other_expires end
  return one.number < other.number
end

-- Each script that moves credits reads all of an account's grants: half a millisecond for so many. Operators are
-- refused another; what is paid for never is.
function grants.too_many(a) return #a.grants >= 500 end

function grants.find(a, id)
  for index, grant in ipairs(a.grants) do
    if grant.id == id then return grant, index end
  end
end

-- R33: what is granted for money pays the account's debt first. `journal.add` calls it after the grant's own entry.
local function collect(a, grant, at)
  local pays = math.min(grant.available, accounts.count(a, "debt"))
  if pays == 0 then return end
  grant.available = grant.available - pays
  accounts.add(a, "debt", -pays)
  if grant.available == 0 and grant.id ~= a.fields.monthly then grants.remove(a, grant.id) end
  journal.add(a, at, "revoke", {[grant.bucket] = {-pays, 0}}, nil, "debt of a returned payment")
end

function grants.add(a, kind, bucket, available, expires, created)
  a.grant_count = a.grant_count + 1
  a.fields.grants = amounts.text(a.grant_count)
  local id = kind .. a.fields.grants
  local grant = {
    field = "grant:" .. id, id = id, kind = kind, number = a.grant_count, bucket = bucket,
    available = available, held = 0, granted = amounts.text(available), expires = expires,
    created = amounts.text(created or a.now),
  }
  a.grants[#a.grants + 1] = grant
  if kind == "t" or kind == "m" then grants.pays_debt(a, grant) end
  return grant
end

-- What is about to be granted, or added to a grant, is for money.
function grants.pays_debt(a, grant)
  if a.fields.debt then a.collect = function(at) collect(a, grant, at) end end
end

-- A grant that had gone, with what it began with: what was taken of it comes back to it.
function grants.restore(a, id, bucket, granted, created)
  local grant = {
    field = "grant:" .. id, id = id, kind = string.sub(id, 1, 1), number = tonumber(string.sub(id, 2)), bucket = bucket,
    available = 0, held = 0, granted = granted, created = created,
  }
  a.grants[#a.grants + 1] = grant
  return grant
end

function grants.remove(a, id)
  local grant, index = grants.find(a, id)
  if not grant then return end
  if a.fields.paid_for then allotted.closed(a, grant) end
  table.remove(a.grants, index)
  a.fields[grant.field] = nil
end

-- A grant with nothing left and nothing held has told its story; the current daily and monthly ones stay.
local function drop_if_spent(a, grant)
  if grant.available > 0 or grant.held > 0 then return end
  if grant.id == a.fields.daily or grant.id == a.fields.monthly then return end
  grants.remove(a, grant.id)
end

-- Take back up to `amount` of what is left of a grant, and nothing of another's. Returns how much that was.
function grants.revoke(a, grant, amount)
  local taken = math.min(grant.available, amount)
  grant.available = grant.available - taken
  drop_if_spent(a, grant)
  return taken
end

-- Split `price` over grants in burn order (R5); nil when there is not enough. Optionally of one bucket only.
function grants.allocate(a, price, bucket)
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

function grants.encode(allocation)
  local parts = {}
  for index, share in ipairs(allocation) do
    parts[index] = share.bucket .. ":" .. share.id .. ":" .. amounts.text(share.amount)
  end
  return table.concat(parts, ",")
end

function grants.decode(text)
  local allocation = {}
  for bucket, id, amount in string.gmatch(text, "(%a):(%a%d+):(%d+)") do
    allocation[#allocation + 1] = {bucket = bucket, id = id, amount = tonumber(amount)}
  end
  return allocation
end

local function bump(deltas, bucket, credits, held)
  local delta = deltas[bucket] or {0, 0}
  deltas[bucket] = {delta[1] + credits, delta[2] + held}
end

-- Take an allocation out of what is available; with `hold`, keep it held.
function grants.take(a, allocation, hold)
  local deltas = {}
  for _, share in ipairs(allocation) do
    local grant = grants.find(a, share.id)
    grant.available = grant.available - share.amount
    if hold then grant.held = grant.held + share.amount end
    bump(deltas, share.bucket, -share.amount, hold and share.amount or 0)
    drop_if_spent(a, grant)
  end
  return deltas
end

-- R10: what cannot go back to its grant lives on for the grace, in the same bucket; equal expiries merge.
local function refund_grant(a, p, bucket, amount)
  local expires = math.ceil((a.now + tonumber(policy.rule(p, "grace"))) / HOUR) * HOUR
  for _, grant in ipairs(a.grants) do
    if grant.kind == "r" and grant.bucket == bucket and grant.expires == expires then
      grant.available = grant.available + amount
      grant.granted = amounts.text(tonumber(grant.granted) + amount)
      return
    end
  end
  grants.add(a, "r", bucket, amount, expires)
end

-- Grants of which something was held when they were taken back (a refunded or disputed purchase), ids by commas:
-- `revoked`, what comes back of them is taken too; `owing`, it pays the account's debt first.
local function marked(a, list, id)
  return string.find("," .. (a.fields[list] or "") .. ",", "," .. id .. ",", 1, true) ~= nil
end

function grants.mark(a, list, id)
  if not marked(a, list, id) then a.fields[list] = a.fields[list] and a.fields[list] .. "," .. id or id end
end

function grants.unmark(a, list, id)
  local left = {}
  for one in string.gmatch(a.fields[list] or "", "[^,]+") do
    if one ~= id then left[#left + 1] = one end
  end
  a.fields[list] = #left > 0 and table.concat(left, ",") or nil
end

-- Give one share back. Says "lapsed" if it was a refund grant's and that has expired (no reserve-and-cancel for
-- ever), "revoked" if its grant was taken back meanwhile; and how much of it that is.
local function give_back(a, p, share, amount)
  local grant = grants.find(a, share.id)
  if marked(a, "revoked", share.id) then
    if grant then grant.held = grant.held - amount end
    accounts.add(a, "returned:" .. share.id, amount)
    return "revoked", amount
  elseif grant and a.fields.debt and marked(a, "owing", share.id) then
    local pays = math.min(amount, accounts.count(a, "debt"))
    grant.held, grant.available = grant.held - amount, grant.available + amount - pays
    accounts.add(a, "debt", -pays)
    return "revoked", pays
  elseif grant then
    grant.available = grant.available + amount
    grant.held = grant.held - amount
  elseif string.sub(share.id, 1, 1) == "r" then
    return "lapsed", amount
  else
    refund_grant(a, p, share.bucket, amount)
  end
end

-- R9: commit `committed` of an allocation, first drawn first, and refund the rest, last drawn first.
-- Returns the deltas of the commit, of the refund, of what lapsed and of what was revoked with it; {} for nothing.
function grants.close(a, p, allocation, committed)
  local commit, refund, gone, left = {}, {}, {lapsed = {}, revoked = {}}, committed
  local returned = {}
  for index, share in ipairs(allocation) do
    local kept = math.min(share.amount, left)
    left = left - kept
    returned[index] = share.amount - kept
    local grant = grants.find(a, share.id)
    if kept > 0 then
      if grant then grant.held = grant.held - kept end
      bump(commit, share.bucket, 0, -kept)
    end
  end
  for index = #allocation, 1, -1 do
    local share, amount = allocation[index], returned[index]
    if amount > 0 then
      bump(refund, share.bucket, amount, -amount)
      local lost, part = give_back(a, p, share, amount)
      if lost then bump(gone[lost], share.bucket, -part, 0) end
    end
    local grant = grants.find(a, share.id)
    if grant then drop_if_spent(a, grant) end
  end
  return commit, refund, gone.lapsed, gone.revoked
end
