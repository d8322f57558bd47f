-- Money returned for a bundle, and the credits it takes back (R33). Facts merge in any order: the latest state of each
-- refund and each dispute counts, and the credits due back are those for all the money they have returned.
-- Fields of a checkout: `back|<what>` = "at,part,whole" of the payment. `what` is "charge" (the sum of its refunds),
-- "refund:<id>" or "dispute:<id>". With ",made" at its end: a refund that was made at that time and failed later.
--- @include "lib/amounts" "lib/policy" "lib/journal" "lib/accounts" "lib/grants" "lib/fractions" "lib/marks"
--- @include "lib/worth"
local returns = {}
local FACTS_MAX = 100

-- Keep a fact, unless a later one is known or there is no room. Returns whether it is new, or nil: no room.
function returns.note(c, what, at, part, whole, made)
  local f, field, count = c.fields, "back|" .. what, 0
  for name in pairs(f) do
    if string.sub(name, 1, 5) == "back|" then count = count + 1 end
  end
  -- Written before facts were kept: the largest part ever reported as returned. It stays the minimum.
  if count == 0 and f.due and f.due ~= "0" then f.before = f.due end
  if not f[field] and count >= FACTS_MAX then return nil end
  local known_at, known_part, known_whole = string.match(f[field] or "0,0,1", "^(%d+),(%d+),(%d+)")
  known_at = tonumber(known_at)
  local larger = part * tonumber(known_whole) > tonumber(known_part) * whole
  if f[field] and (at < known_at or at == known_at and not larger) then return false end
  f[field] = string.format("%d,%d,%d", at, part, whole) .. (made and "," .. amounts.text(made) or "")
  return true
end

-- The facts, and what their parts are parts of.
local function facts_of(f)
  local facts = {}
  for name, text in pairs(f) do
    local what = string.match(name, "^back|(.+)$")
    if what then
      local at, part, of, made = string.match(text, "^(%d+),(%d+),(%d+),?(%d*)$")
      facts[#facts + 1] = {
        what = what, at = tonumber(at), part = tonumber(part), of = tonumber(of), made = tonumber(made),
      }
    end
  end
  return facts, fractions.whole(facts)
end

-- How many of the bundle's credits must be taken back.
function returns.due(f)
  local facts, whole = facts_of(f)
  if #facts == 0 then return tonumber(f.due or 0) end
  local sum = {parts = 0, at = math.huge}
  for _, fact in ipairs(facts) do
    fact.parts = fractions.of(whole, fact)
    if fact.what == "charge" then sum = fact end
  end
  local refunds, bounced, disputed = 0, 0, 0
  for _, fact in ipairs(facts) do
    if string.sub(fact.what, 1, 8) == "dispute:" then
      disputed = disputed + fact.parts
    elseif fact.made then
      -- Included in the charge's sum only if that was reported between the refund and its failure.
      if fact.made <= sum.at and sum.at <= fact.at then bounced = bounced + fact.parts end
    elseif fact ~= sum then
      refunds = refunds + fact.parts
    end
  end
  local back = math.min(math.max(sum.parts - bounced, refunds) + disputed, whole)
  local credits = tonumber(f.credits)
  local rest = math.fmod(credits, whole)
  local due = (credits - rest) / whole * back + amounts.share(rest, back, whole)
  return math.max(due, tonumber(f.before or 0))
end

-- Revoke what is left of the bundle's own grant, never more. If all of it is due, so is what was forgiven of an earlier
-- part and has come back since; credits of it that open generations hold are taken too when they are refunded, and what
-- it has paid for is not given back (`adjust_generation`). Spent credits are forgiven or owed, as the card says.
local function take(a, p, c, more, why)
  local f, grant, taken, owed = c.fields, grants.find(a, c.fields.grant), 0, 0
  local owing, everything = policy.rule(p, "spent") == "debt", c.fields.due == c.fields.credits
  if everything and not owing then marks.set(a, "revoked", f.grant) end
  if grant then
    if owing and grant.held > 0 then marks.set(a, "owing", grant.id) end
    taken = grants.revoke(a, grant, everything and tonumber(f.credits) - tonumber(f.taken or 0) or more)
  end
  if owing and taken < more then
    owed = more - taken
    accounts.add(a, "debt", owed)
    f.owed = amounts.text(tonumber(f.owed or 0) + owed)
    why = why .. "; " .. amounts.credits(owed) .. " spent credits are owed"
  end
  if taken + owed == 0 then return end
  f.taken = amounts.text(tonumber(f.taken or 0) + taken + owed)
  journal.add(a, a.now, "revoke", {t = {-taken, 0}}, nil, why)
end

-- Return exactly what was taken beyond the amount due now, including what was taken from refunds of generations. It
-- first reduces the debt for this purchase.
local function give(a, c, due, why)
  local f = c.fields
  local later = "returned:" .. f.grant
  local taken = tonumber(f.taken or 0) + accounts.count(a, later)
  a.fields[later] = nil
  marks.clear(a, "revoked", f.grant)
  local back = math.max(taken - due, 0)
  local waived = math.min(back, tonumber(f.owed or 0), accounts.count(a, "debt"))
  f.taken = amounts.text(taken - back)
  if back == 0 then return end
  if f.owed then f.owed = amounts.text(math.max(tonumber(f.owed) - back, 0)) end
  accounts.add(a, "debt", -waived)
  if back > waived then
    local grant = grants.find(a, f.grant) or grants.restore(a, f.grant, "t", f.credits, f.granted_at or f.paid_at)
    local worth = make_worth()
    worth.set(a, grant, worth.of_purchase(f.price, tonumber(f.credits)))
    grant.available = grant.available + back - waived
  end
  local note = waived > 0 and "; " .. amounts.credits(waived) .. " credits are owed no more" or ""
  journal.add(a, a.now, "grant", {t = {back - waived, 0}}, nil, why .. note)
end

-- Adjust the bundle's own grant to what is due. `of` names the refund or dispute that changed it, or is nil.
function returns.settle(a, p, c, of)
  local f = c.fields
  local due, asked = returns.due(f), tonumber(f.asked or 0)
  f.due = amounts.text(due)
  if f.status ~= "paid" or not f.grant or due == asked then return end
  f.asked = f.due
  local dispute, why = string.match(of or "", "^dispute:(.*)$"), "payment for " .. f.name .. " returned"
  if due > asked then
    local percent = math.floor((due - asked) * 100 / tonumber(f.credits) + 0.5)
    if dispute then why = string.format("dispute %s: %d %% of %s taken back", dispute, percent, f.name) end
    take(a, p, c, due - asked, why)
  else
    why = dispute and "dispute " .. dispute .. ": money came back" or "refund failed"
    give(a, c, due, why .. ", " .. f.name .. " given back")
  end
end
