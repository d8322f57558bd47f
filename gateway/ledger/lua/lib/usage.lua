-- What was used on a day, as sums that no read has to scan for: by tool and model; of these also by key and member, and
-- by tag (R28). What the last two lack of the first has no key or member, or no such tag.
--- @include "lib/keys" "lib/amounts" "lib/policy"
local usage = {}
local COUNTERS = {"generations", "outputs", "credits", "failed", "refunded"}
-- Rows of a day by key and member, or by tag: each is a hundred bytes, kept for 400 days. Whatever comes later on that
-- day is counted as "other", which takes as many more at most.
local ROWS_MAX = 1000

-- Add to the first of the rows that exists, or for which there is room.
local function add(key, rows, counters)
  for index, row in ipairs(rows) do
    local sums = redis.call("HGET", key, row)
    if sums or redis.call("HLEN", key) < ROWS_MAX * index then
      local added = {}
      for number in string.gmatch(sums or "0,0,0,0,0", "%d+") do
        added[#added + 1] = amounts.text(tonumber(number) + counters[COUNTERS[#added + 1]])
      end
      redis.call("HSET", key, row, table.concat(added, ","))
      return
    end
  end
end

-- With an archive, sums stay until they have been copied.
local function keep(key, kept)
  if policy.archived() then redis.call("PERSIST", key) else redis.call("PEXPIRE", key, kept) end
end

-- Write: add a generation's `counters` to the sums of the account's day.
function usage.count(a, p, g, day, counters)
  local kept = amounts.text(policy.kept(p, "usage"))
  local of = g.tool .. "|" .. g.model .. "|"
  local key = keys.usage(a.id, day)
  for counter, amount in pairs(counters) do
    if amount ~= 0 then redis.call("HINCRBY", key, of .. counter, amounts.text(amount)) end
  end
  keep(key, kept)
  if g.key or g.member then
    local rows_key, member = keys.usage_keys(a.id, day), g.member or ""
    add(rows_key, {of .. (g.key or "") .. "|" .. member, of .. "other|" .. member, of .. "other|other"}, counters)
    keep(rows_key, kept)
  end
  if g.tags then
    local rows_key = keys.usage_tags(a.id, day)
    for name, value in string.gmatch(g.tags, "([^\t\n]+)\t([^\n]*)") do
      add(rows_key, {of .. name .. "\t" .. value, of .. name .. "\tother"}, counters)
    end
    keep(rows_key, kept)
  end
end
