-- The seats of a plan (R25): how many members an account may have. What cannot be refused, because it was paid or time
-- has passed, may leave more members than seats: they stay, and nobody can be added.
--- @include "lib/amounts" "lib/policy" "lib/members"
local seats = {}

-- nil: any number.
function seats.of(p, plan) return tonumber(policy.rule(p, "seats:" .. (plan or "free")) or nil) end

-- The plan that has no seat for another member (the present one, or the one it changes to) and its seats; or nil.
function seats.lacking(a, p)
  local coming = string.match(a.fields.scheduled or "", "^([^,]+),")
  local used = #members.all(a)
  for _, plan in ipairs({a.fields.plan or "free", coming}) do
    local most = seats.of(p, plan)
    if most and used >= most then return plan, amounts.text(most) end
  end
end

local RANKS = {owner = 1, admin = 2, member = 3}

-- Who would have to go for a plan: its seats, then "id name" on a line each; nil if it has seats for everybody. Those
-- with the highest role stay, and of these those who came first.
function seats.too_few(a, p, plan)
  local most, current = seats.of(p, plan), members.all(a)
  if not most or #current <= most then return nil end
  table.sort(current, function(one, other)
    if one.role ~= other.role then return RANKS[one.role] < RANKS[other.role] end
    if one.created ~= other.created then return tonumber(one.created) < tonumber(other.created) end
    return one.id < other.id
  end)
  local lines = {amounts.text(most)}
  for index = most + 1, #current do lines[#lines + 1] = current[index].id .. " " .. current[index].name end
  return table.concat(lines, "\n")
end
