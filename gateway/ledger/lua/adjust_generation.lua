#!lua
-- Give back what an ended generation was charged: an operator's correction, with a reason, once (R24, R36).
-- Credits return to the grants that paid. Of those that are gone, a purchase's is made again; for others, credits
-- go to a grant of the bucket with its current expiry.
--
-- KEYS[1]  generation
-- Returns  {"not_found"} {"refused", "open" | "nothing_charged" | "given_back" | "payment_returned" | "too_much"
--          | "too_many_grants"}
--          {"given_back", generation, view}: also if this operation has done it before
-- Writes   generation, account, journal, token, margin
--- @include "lib/amounts" "lib/policy" "lib/journal" "lib/accounts" "lib/grants" "lib/marks" "lib/holds" "lib/cycles"
--- @include "lib/steps" "lib/generations" "lib/limits" "lib/tokens" "lib/zones" "lib/worth" "lib/worths"
--- @include "lib/margin"
local operation, reason, available_max = unpack(ARGV)
local HOUR, worth = 3600000, make_worth()
local g = generations.load(string.match(KEYS[1], ":generation:(.*)$"))
local a = g and accounts.load(g.account)
if not a then return {"not_found"} end
local p = policy.load(a.fields.plan)
steps.roll(a, p)
if g.given_back_by == operation then return {"given_back", generations.reply(g.id), accounts.view(a)} end
local left = tonumber(g.committed or 0)
if generations.open(g) then return {"refused", "open"} end
if left == 0 then return {"refused", "nothing_charged"} end
if g.given_back then return {"refused", "given_back"} end
if a.available + a.held + left > tonumber(available_max) then return {"refused", "too_much"} end
if grants.too_many(a) then return {"refused", "too_many_grants"} end

-- A grant for credits whose own is gone: a purchase's own, so that a return of its payment finds them; else the
-- last one made for this, if it still lasts as long.
local function successor(share)
  local bucket = share.bucket
  if string.sub(share.id, 1, 1) == "t" then
    local restored = grants.restore(a, share.id, bucket, "0", amounts.text(a.now))
    worth.set(a, restored, share.worth)
    return restored
  end
  local grace = math.ceil((a.now + tonumber(policy.rule(p, "grace"))) / HOUR) * HOUR
  local expires = bucket == "f" and a.resets_at or nil
  if bucket == "s" then expires = a.fields.plan and cycles.bucket_ends(a) or grace end
  local made = grants.find(a, a.fields["given_back:" .. bucket] or "")
  if made and made.expires == expires and worth.of(a, made) == share.worth then return made end
  made = grants.add(a, "o", bucket, 0, expires)
  worth.set(a, made, share.worth)
  a.fields["given_back:" .. bucket] = made.id
  return made
end

local deltas, given, shares = {}, 0, worths.read(g, holds.decode(g.allocation))
for _, share in ipairs(shares) do
  local amount = math.min(share.amount, left)
  left, share.given = left - amount, 0
  -- Of a purchase whose payment was returned, its credits were taken back: they are nobody's.
  if amount > 0 and not marks.has(a, "revoked", share.id) then
    local grant = grants.find(a, share.id) or successor(share)
    grant.available = grant.available + amount
    grant.granted = amounts.text(math.max(tonumber(grant.granted), grant.available + grant.held))
    holds.count(deltas, share.bucket, amount, 0)
    given, share.given = given + amount, amount
  end
end
if given == 0 then return {"refused", "payment_returned"} end
limits.give_back(a, g, given)
local entry = journal.add(a, a.now, "adjust", deltas, g, reason)
local rows, day = margin.of_correction(g, shares, given), zones.day(policy.rule(p, "zone"), a.now)
accounts.check(a)

accounts.save(a)
tokens.spend(a.id, g.token, -given)
generations.set(
  g, "given_back", amounts.text(given), "given_back_by", operation, "entries", g.entries .. "\n" .. entry,
  "given_back_on", day)
margin.add(p, day, rows)
return {"given_back", generations.reply(g.id), accounts.view(a)}
