-- Decodes a billing record's fields, by subscription; outdated ones are ignored.
local facts = {}
local KEPT = 400 * 86400000

-- Facts older than an event may be, or than a purchase is kept, are ignored.
function facts.prune(b, now)
  for name, value in pairs(b.fields) do
    local word, rest = string.match(name, "^[^|]+|(%a+)|?(.*)$")
    local at
    if word == "seen" then at = tonumber(rest) end
    if word == "failed" then at = tonumber(value) end
    if word == "returned" then at = tonumber(string.match(value, "^(-?%d+),")) end
    if word == "line" then at = tonumber(string.match(value, '"to":(%d+)')) end
    if at and at < now - KEPT then b.fields[name] = nil end
  end
end

local function subscription(b, id)
  local s = b.subs[id]
  if not s then
    s = {id = id, lines = {}, seen = {}, prices = {}, returned = {}, cycles = {}, cancel = 0}
    b.subs[id] = s
  end
  return s
end

local readers = {
  started = function(s, _, value) s.started = tonumber(value) end,
  ended = function(s, _, value) s.ended = tonumber(value) end,
  bought = function(s, _, value) s.bought = string.match(value, "^([^,]+),") end,
  cancel = function(s, _, value) s.cancel = tonumber(string.match(value, ",(%d+)$")) end,
  status = function(s, _, value) s.status = string.match(value, ",(.*)$") end,
  price = function(s, name, value) s.prices[name] = value ~= "?" and value or nil end,
  line = function(s, name, value)
    local line = cjson.decode(value)
    line.id, s.lines[#s.lines + 1] = name, line
  end,
  seen = function(s, name, value)
    s.seen[#s.seen + 1] = {at = tonumber(name), plan = string.match(value, "^([^,]+),")}
  end,
  returned = function(s, name, value)
    local invoice, of = string.match(name, "^([^|]+)|"), s.returned
    local part, whole = string.match(value, "^-?%d+,(%d+)/(%d+)$")
    of[invoice] = of[invoice] or {}
    of[invoice][#of[invoice] + 1] = {part = tonumber(part), of = tonumber(whole)}
  end,
  cycle = function(s, name, value)
    local grant, given, set_off, left = string.match(value, "^(%a%d+),(%d+),(-?%d+),(%d*)$")
    s.cycles[#s.cycles + 1] = {
      at = tonumber(name), grant = grant, given = tonumber(given), set_off = tonumber(set_off), left = tonumber(left),
    }
  end,
}

-- The decoded fields, by subscription; each list is sorted.
function facts.read(b)
  for name, value in pairs(b.fields) do
    local id, word, rest = string.match(name, "^([^|]+)|(%a+)|?(.*)$")
    if id and readers[word] then readers[word](subscription(b, id), rest, value) end
  end
  for _, s in pairs(b.subs) do
    table.sort(s.seen, function(one, other) return one.at < other.at end)
    table.sort(s.cycles, function(one, other) return one.at < other.at end)
    table.sort(s.lines, function(one, other)
      if one.from ~= other.from then return one.from < other.from end
      if (one.proration or false) ~= (other.proration or false) then return not one.proration end
      return one.id < other.id
    end)
    for _, line in ipairs(s.lines) do s.started = math.min(s.started or math.huge, line.from) end
  end
end
