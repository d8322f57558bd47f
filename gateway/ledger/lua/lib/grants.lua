-- Grants: the batches of an account's credits (R5). `holds` draws from them, `refunds` returns to them.
-- Kind letters: d daily, m monthly, t top-up, o operator, r refund.
--- @include "lib/amounts" "lib/journal" "lib/accounts" "lib/paid_allotments"
local grants = {}

function grants.find(a, id)
  for index, grant in ipairs(a.grants) do
    if grant.id == id then return grant, index end
  end
end

-- A grant with nothing available or held is deleted; the current daily and monthly ones stay.
function grants.drop_if_spent(a, grant)
  if grant.available > 0 or grant.held > 0 then return end
  if grant.id == a.fields.daily or grant.id == a.fields.monthly then return end
  grants.remove(a, grant.id)
end

--- @rarely

-- Each script that changes credits reads all of an account's grants: half a millisecond for this many. Operators are
-- refused more; paid ones never are.
function grants.too_many(a) return #a.grants >= 500 end

-- R33: paid grants pay the account's debt first. `journal.add` calls it after the grant's own entry.
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

-- Recreate a deleted grant so that what was taken from it or drawn can return to it. It does not expire: a purchase's.
function grants.restore(a, id, bucket, granted, created)
  local grant = {
    field = "grant:" .. id, id = id, kind = string.sub(id, 1, 1), number = tonumber(string.sub(id, 2)), bucket = bucket,
    available = 0, held = 0, granted = granted, created = created,
  }
  a.grants[#a.grants + 1] = grant
  return grant
end

-- The credits about to be granted, or added to a grant, were paid for.
function grants.pays_debt(a, grant)
  if a.fields.debt then a.collect = function(at) collect(a, grant, at) end end
end

function grants.remove(a, id)
  local grant, index = grants.find(a, id)
  if not grant then return end
  if a.fields.paid_for then paid_allotments.ended(a, grant) end
  table.remove(a.grants, index)
  a.fields[grant.field], a.fields["worth:" .. id] = nil, nil
end

-- Revoke up to `amount` of a grant's available credits, and nothing of others. Returns the amount revoked.
function grants.revoke(a, grant, amount)
  local taken = math.min(grant.available, amount)
  grant.available = grant.available - taken
  grants.drop_if_spent(a, grant)
  return taken
end
