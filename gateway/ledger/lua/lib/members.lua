-- An account's members (R25): member:<id> = created at,role,removed at or "",name. Those removed stay, so that what
-- they made keeps their name.
--- @include "lib/amounts" "lib/accounts" "lib/policy" "lib/steps"
local members = {}
local KEPT_MAX = 500 -- members and former ones: every script that touches the account reads them

-- A member, former ones included; or nil.
function members.find(a, id)
  local created, role, removed, name = string.match(a.fields["member:" .. id] or "", "^(%d+),(%a+),(%d*),(.*)$")
  return created and {id = id, created = created, role = role, removed = tonumber(removed), name = name}
end

-- A member; nil for a former one.
function members.current(a, id)
  local member = members.find(a, id)
  return member and not member.removed and member or nil
end

function members.put(a, member)
  local removed = member.removed and amounts.text(member.removed) or ""
  a.fields["member:" .. member.id] = table.concat({member.created, member.role, removed, member.name}, ",")
end

-- The current members, and the former ones; oldest first.
function members.all(a)
  local current, former = {}, {}
  for field in pairs(a.fields) do
    local id = string.match(field, "^member:(.*)$")
    if id then
      local member = members.find(a, id)
      local list = member.removed and former or current
      list[#list + 1] = member
    end
  end
  local function older(one, other)
    if one.created ~= other.created then return tonumber(one.created) < tonumber(other.created) end
    return one.id < other.id
  end
  table.sort(current, older)
  table.sort(former, older)
  return current, former
end

-- When whoever comes now came: later than everybody before, also within one millisecond, so that their order is told.
function members.arrival(a)
  local arrival, current, former = a.real, members.all(a)
  for _, list in ipairs({current, former}) do
    local last = list[#list]
    if last then arrival = math.max(arrival, tonumber(last.created) + 1) end
  end
  return amounts.text(arrival)
end

-- Make room for another one by forgetting whoever was removed first; false if all are members.
function members.make_room(a)
  local current, former = members.all(a)
  if #current + #former < KEPT_MAX then return true end
  table.sort(former, function(one, other) return one.removed < other.removed end)
  if former[1] then a.fields["member:" .. former[1].id] = nil end
  return former[1] ~= nil
end

function members.owner(a)
  for _, member in ipairs((members.all(a))) do
    if member.role == "owner" then return member end
  end
end

-- Whether somebody else has this email address.
function members.email_taken(a, email, id)
  for _, member in ipairs((members.all(a))) do
    local has = a.fields["email:" .. member.id]
    if has and member.id ~= id and string.lower(has) == string.lower(email) then return member.id end
  end
end

-- Whether `by` (a member; "": an operator) may change `member`: an owner everybody, an admin those who are neither.
function members.may(a, by, member)
  if by == "" then return true end
  local who = members.current(a, by)
  return who ~= nil and (who.role == "owner" or (who.role == "admin" and member.role == "member"))
end

-- Whose key it is; nil: the account's own.
function members.of_key(a, key)
  local id = a.fields["of:" .. key]
  return id and members.find(a, id)
end

-- Whether `by` may change or revoke a key: their own too, and the account's own ones.
function members.may_change_key(a, by, key)
  local whose = members.of_key(a, key)
  local who = members.current(a, by)
  if by == "" or (whose and whose.id == by) then return true end
  return whose == nil and who ~= nil and who.role ~= "member" or whose ~= nil and members.may(a, by, whose)
end

-- Whether `by` may get the secret of a key that is `whose`, and so act as them. The account's own keys (nil) may do
-- what its owner may.
function members.may_use(a, by, whose)
  return by == "" or (whose ~= nil and whose.id == by) or members.may(a, by, whose or {role = "owner"})
end

-- Load the account, rolled forward, and the policy; nil and the reply if it cannot be changed.
function members.open(keys_version)
  local a = accounts.load(string.match(KEYS[1], ":account:(.*)$"))
  if not a then return nil, {"not_found"} end
  if accounts.keys_changed(a, keys_version) then return nil, {"keys_changed"} end
  local p = policy.load(a.fields.plan)
  steps.roll(a, p)
  return a, p
end

-- Save a change. With `invalidates`, no gateway goes on by what it has cached of the account's keys.
function members.close(a, invalidates)
  if invalidates then a.fields.keys_version = amounts.text(accounts.count(a, "keys_version") + 1) end
  accounts.check(a)

  accounts.save(a)
  return {"changed", accounts.view(a)}
end
