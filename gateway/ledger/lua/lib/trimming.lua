-- Removes the expired past of an account: list entries and journal entries. With an archive also the generations, in
-- order of creation, so that what is left is all of the newest.
--- @include "lib/keys" "lib/amounts" "lib/policy" "lib/expiry"
local trimming = {}

local function aged_entries(key, before, trims_to, limit)
  local aged = 0
  local oldest = redis.call("LRANGE", key, -limit, -1)
  for index = #oldest, 1, -1 do
    local id, at = string.match(oldest[index], "^(%d+)|(%d+)|")
    if tonumber(at) >= before or tonumber(id) > trims_to then break end
    aged = aged + 1
  end
  return math.min(aged, math.max(redis.call("LLEN", key) - 1, 0)) -- the balance is checked against the newest
end

-- The oldest generations that may go: {id, member or false}, in order.
local function archived_generations(expiry, account, reached, before, limit)
  local gone = {}
  for _, id in ipairs(redis.call("ZRANGE", keys.recent(account), 0, limit - 1)) do
    local finished, entries, member =
      unpack(redis.call("HMGET", keys.generation(id), "finished_at", "entries", "member"), 1, 3)
    local kept = redis.call("EXISTS", keys.generation(id)) == 1
    if kept and not (finished and tonumber(finished) < before and expiry.has(account, reached, id, entries)) then
      break
    end
    gone[#gone + 1] = {id, member}
  end
  return gone
end

-- Trim at most `limit` of each; returns how many. Nothing is read after the first write.
function trimming.run(account, now, limit)
  local expiry, p, reached, trims_to = make_expiry(), {}, 0, math.huge
  if policy.archived() then
    reached = expiry.reached(redis.call("HGET", keys.account(account), "archived"))
    trims_to = reached
  end
  local key = keys.journal(account)
  local aged = aged_entries(key, now - expiry.kept(p, "journal"), trims_to, limit)
  local listed_from, gone, unlisted = now - expiry.kept(p, "lists"), {}, 0
  if policy.archived() then
    gone = archived_generations(expiry, account, reached, listed_from, limit)
  else
    unlisted = math.min(redis.call("ZCOUNT", keys.recent(account), "-inf", amounts.text(listed_from)), limit)
  end

  if unlisted > 0 then redis.call("ZREMRANGEBYRANK", keys.recent(account), 0, unlisted - 1) end
  for _, one in ipairs(gone) do
    redis.call("DEL", keys.generation(one[1]))
    redis.call("ZREM", keys.recent(account), one[1])
    if one[2] then redis.call("ZREM", keys.made_by(account, one[2]), one[1]) end
  end
  if aged > 0 then redis.call("LTRIM", key, 0, -aged - 1) end
  return unlisted + #gone + aged
end
