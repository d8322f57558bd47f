-- What may be removed, and when. Created where it is needed: most scripts remove nothing.
--- @include "lib/keys" "lib/policy"
local function make_expiry()
  local expiry = {}

  -- An account's field `archived`: the last entry that the archive has, and the account time of its copy.
  function expiry.reached(field)
    local entry, time = string.match(field or "", "^(%d+),(%d+)$")
    return tonumber(entry or 0), tonumber(time)
  end

  -- Up to which entry an account's journal may be trimmed: any, or those that the archive has.
  function expiry.trims_to(field) return policy.archived() and expiry.reached(field) or math.huge end

  -- How long something is kept: with an archive, for its `keep_days` at most.
  function expiry.kept(p, name)
    local kept = policy.kept(p, name)
    local days = policy.archived() and policy.rule(p, "keep:archived")
    return days and days ~= "" and math.min(kept, tonumber(days)) or kept
  end

  -- Whether the archive has a generation as it is now: the entries up to its last one, and no mark of its own is left.
  function expiry.has(account, reached, id, entries)
    local last = string.match("\n" .. (entries or ""), ".*\n(%d+)|")
    if last and tonumber(last) > reached then return false end
    local mark = account .. " " .. id
    return not redis.call("ZSCORE", keys.unarchived(), mark) and not redis.call("ZSCORE", keys.archiving(), mark)
  end

  return expiry
end
