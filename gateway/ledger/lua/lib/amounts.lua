-- Integers, formatted so that Redis and Lua agree: never with tostring, which writes 1e+14.
local amounts = {}

-- `%d` goes through C's long: 64 bits, more than a Lua number's 53. (`%.0f` writes the same and takes three times as
-- long.)
function amounts.text(number) return string.format("%d", number) end

-- Millicredits as readable credits: 73500 is 73.5.
function amounts.credits(millicredits)
  local text = string.format("%.3f", millicredits / 1000)
  return (string.gsub(string.gsub(text, "0+$", ""), "%.$", ""))
end

-- floor(total * part / whole), and the remainder. In two steps of 24 bits, so that no product is rounded:
-- exact while `part` and `whole` stay below 2^28 and the result below 2^53.
local function divided(total, part, whole)
  local low = math.fmod(total, 16777216)
  local high = (total - low) / 16777216 * part
  local rest = math.fmod(high, whole)
  local product = rest * 16777216 + low * part
  local left = math.fmod(product, whole)
  return (high - rest) / whole * 16777216 + (product - left) / whole, left
end

function amounts.share(total, part, whole)
  local share = divided(total, part, whole)
  return share
end

-- The same, rounded up.
function amounts.share_up(total, part, whole)
  local share, left = divided(total, part, whole)
  return left > 0 and share + 1 or share
end

-- Redis's clock, in milliseconds: the only one that decides about credits.
function amounts.real_now()
  local time = redis.call("TIME")
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
