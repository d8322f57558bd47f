-- What generations earned and cost, as sums of a day for operators (R31). The day is the account's, as for usage.
-- Rows of credits, `<model>|<provider>|<bucket>|<worth>` → millicredits, and of costs, `<model>|<provider>|<bucket>` →
-- the numbers of COSTS. Revenue is exact: whoever reads multiplies the credits by their worth.
--- @include "lib/keys" "lib/amounts" "lib/policy" "lib/generations"
local margin = {}
local COSTS = {"generations", "cost", "reported", "compared", "beside", "losses", "unknown"}
local ROWS_MAX = 1000 -- of a day; new ones count as "other" then, and revenue is rounded for each generation
local DAY = 86400000

-- Add numbers to those of a row, in memory.
local function add(rows, name, numbers)
  local row = rows[name]
  if row then
    for index, number in ipairs(numbers) do row[index] = row[index] + number end
  else
    rows[name] = numbers
  end
end

-- Divide a provider's costs among the buckets that paid, or would have; the last one gets what is left.
local function divide(rows, of, shares, weight, costs)
  local whole, left = 0, {}
  for index, name in ipairs(COSTS) do left[index] = costs[name] or 0 end
  local buckets_of, list = {}, {}
  for _, share in ipairs(shares) do
    if share[weight] > 0 then
      if not buckets_of[share.bucket] then list[#list + 1] = share.bucket end
      buckets_of[share.bucket] = (buckets_of[share.bucket] or 0) + share[weight]
      whole = whole + share[weight]
    end
  end
  if #list < 2 then return add(rows, of .. (list[1] or "-"), left) end
  local all = {unpack(left)}
  for position, bucket in ipairs(list) do
    local part = {}
    for index, number in ipairs(all) do
      local countable = COSTS[index] == "generations" or COSTS[index] == "unknown"
      part[index] = position == #list and left[index] or amounts.share(number, buckets_of[bucket], whole)
      if countable then part[index] = position == 1 and number or 0 end
      left[index] = left[index] - part[index]
    end
    add(rows, of .. bucket, part)
  end
end

-- A cost is "provider,assumed,reported" in micro-units; either may be missing. What is reported counts. What is no cost
-- is left out: it must not keep its generation from ending.
local function book(by_provider, text, lost)
  local provider, assumed, reported = string.match(text, "^([^,]*),(%d*),(%d*)$")
  if not provider then return end
  assumed, reported = tonumber(assumed), tonumber(reported)
  local costs = by_provider[provider] or {cost = 0, reported = 0, compared = 0, beside = 0, losses = 0}
  by_provider[provider] = costs
  local cost = reported or assumed or 0
  costs.cost = costs.cost + cost
  costs.reported = costs.reported + (reported or 0)
  if reported and assumed then
    costs.compared, costs.beside = costs.compared + reported, costs.beside + assumed
  end
  if lost then costs.losses = costs.losses + cost end
end

-- The costs of delivered outputs by provider, and how many have none.
local function delivered(g)
  local by_provider, unknown = {}, 0
  for index = 0, tonumber(g.outputs) - 1 do
    local text = g["cost:" .. index]
    if text then book(by_provider, text) end
    if g["output:" .. index] and not text then unknown = unknown + 1 end
  end
  return by_provider, unknown
end

-- The rows of an ended generation. Of each share of the allocation, `kept` was committed.
function margin.of_generation(g, shares, committed)
  local rows, by_provider, unknown = {}, delivered(g)
  for text in string.gmatch(g.lost or "", "[^;]+") do book(by_provider, text, true) end
  local provider = generations.provider(g.request)
  by_provider[provider] = by_provider[provider] or {}
  by_provider[provider].generations, by_provider[provider].unknown = 1, unknown > 0 and 1 or 0
  for name, costs in pairs(by_provider) do
    divide(rows, g.model .. "|" .. name .. "|", shares, committed > 0 and "kept" or "amount", costs)
  end
  for _, share in ipairs(shares) do
    if share.kept > 0 then
      add(rows, g.model .. "|" .. provider .. "|" .. share.bucket .. "|" .. share.worth, {share.kept})
    end
  end
  return rows
end

-- The rows of a correction: of each share, `given` is earned no more, and what the outputs cost is lost.
function margin.of_correction(g, shares, given)
  local rows, provider, committed = {}, generations.provider(g.request), tonumber(g.committed)
  for _, share in ipairs(shares) do
    if share.given > 0 then
      add(rows, g.model .. "|" .. provider .. "|" .. share.bucket .. "|" .. share.worth, {-share.given})
    end
  end
  for name, costs in pairs(delivered(g)) do
    local lost = amounts.share(costs.cost, given, committed)
    divide(rows, g.model .. "|" .. name .. "|", shares, "given", {losses = lost})
  end
  return rows
end

-- The rows of a job that made something which nobody gets.
function margin.of_loss(g, shares, text)
  local rows, by_provider = {}, {}
  for one in string.gmatch(text, "[^;]+") do book(by_provider, one, true) end
  for name, costs in pairs(by_provider) do
    divide(rows, g.model .. "|" .. name .. "|", shares, "amount", costs)
  end
  return rows
end

-- The name of a new row, and its numbers: those of "other" if the day has enough rows.
local function placed(key, name, numbers)
  local length = redis.call("HLEN", key)
  if length < ROWS_MAX then return name, numbers end
  local model, provider, bucket, worth = string.match(name, "^([^|]*)|([^|]*)|([^|]*)|?(.*)$")
  if length >= ROWS_MAX * 2 then model, provider = "other", "other" end
  local of = model .. "|" .. provider .. "|" .. bucket
  if worth == "" then return of, numbers end
  if worth == "?" or worth == "0" then return of .. "|" .. worth, numbers end
  local micro, millicredits = string.match(worth, "^(%d+)/(%d+)$")
  local revenue = micro and math.floor(numbers[1] * micro / millicredits + 0.5) or numbers[2]
  return of .. "|other", {numbers[1], revenue}
end

-- A row as text, with numbers added to those that it has.
local function sum(text, numbers)
  local index = 0
  return (string.gsub(text, "-?%d+", function(number)
    index = index + 1
    local added = numbers[index] or 0
    return added ~= 0 and amounts.text(number + added) or nil
  end))
end

-- Write: add rows to the sums of a day.
function margin.add(p, day, rows)
  local key, names = keys.margin(day), {}
  for name in pairs(rows) do names[#names + 1] = name end
  if #names == 0 then return end
  local stored, flat, missing = redis.call("HMGET", key, unpack(names)), {}, {}
  for index, name in ipairs(names) do
    if stored[index] then
      flat[#flat + 1], flat[#flat + 2] = name, sum(stored[index], rows[name])
    else
      missing[#missing + 1] = name
    end
  end
  if #flat > 0 then redis.call("HSET", key, unpack(flat)) end
  for _, name in ipairs(missing) do
    local target, numbers = placed(key, name, rows[name])
    local text = redis.call("HGET", key, target) or string.rep("0,", #numbers - 1) .. "0"
    redis.call("HSET", key, target, sum(text, numbers))
  end
  if #missing > 0 then redis.call("PEXPIRE", key, amounts.text(policy.kept(p, "usage") + 2 * DAY)) end
end
