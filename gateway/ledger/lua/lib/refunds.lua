-- The end of a hold: how much is committed, and which grants get the rest back (R9, R10).
--- @include "lib/amounts" "lib/policy" "lib/accounts" "lib/grants" "lib/marks" "lib/holds" "lib/worth"
local refunds = {}
local HOUR = 3600000

-- R10: credits that cannot return to their grant become a grant in the same bucket for the grace period; equal
-- expiries merge, if the credits are worth the same.
local function refund_grant(a, p, share, amount)
  local bucket, worth = share.bucket, make_worth()
  local expires = math.ceil((a.now + tonumber(policy.rule(p, "grace"))) / HOUR) * HOUR
  for _, grant in ipairs(a.grants) do
    local same = grant.kind == "r" and grant.bucket == bucket and grant.expires == expires
    if same and worth.of(a, grant) == share.worth then
      grant.available = grant.available + amount
      grant.granted = amounts.text(tonumber(grant.granted) + amount)
      return
    end
  end
  worth.set(a, grants.add(a, "r", bucket, amount, expires), share.worth)
end

-- Return one share to its grant. Returns "lapsed" if that was a refund grant that has expired (so that reserving and
-- cancelling cannot keep credits alive), or "revoked" if its grant was revoked meanwhile; and how much.
local function give_back(a, p, share, amount)
  local grant = grants.find(a, share.id)
  if marks.has(a, "revoked", share.id) then
    if grant then grant.held = grant.held - amount end
    accounts.add(a, "returned:" .. share.id, amount)
    return "revoked", amount
  elseif grant and a.fields.debt and marks.has(a, "owing", share.id) then
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
    refund_grant(a, p, share, amount)
  end
end

-- R9: commit `committed` of an allocation, first drawn first (`share.kept`), and refund the rest, last drawn first.
-- Returns the deltas of the commit, of the refund, of what lapsed and of what was revoked with it; {} for nothing.
function refunds.close(a, p, allocation, committed)
  local commit, refund, gone, left = {}, {}, {lapsed = {}, revoked = {}}, committed
  local returned = {}
  for index, share in ipairs(allocation) do
    local kept = math.min(share.amount, left)
    left, share.kept = left - kept, kept
    returned[index] = share.amount - kept
    local grant = grants.find(a, share.id)
    if kept > 0 then
      if grant then grant.held = grant.held - kept end
      holds.count(commit, share.bucket, 0, -kept)
    end
  end
  for index = #allocation, 1, -1 do
    local share, amount = allocation[index], returned[index]
    if amount > 0 then
      holds.count(refund, share.bucket, amount, -amount)
      local lost, part = give_back(a, p, share, amount)
      if lost then holds.count(gone[lost], share.bucket, -part, 0) end
    end
    local grant = grants.find(a, share.id)
    if grant then grants.drop_if_spent(a, grant) end
  end
  return commit, refund, gone.lapsed, gone.revoked
end
