-- Integers as Redis and Lua must agree on them: never through tostring, which writes 1e+14.
local amounts = {}

-- `%d` goes through C's long: 64 bits, more than a Lua number's 53. (`%.0f` writes the same and takes three times as
-- long.)
function amounts.text(number) return string.format("%d", number) end

-- Millicredits as a person reads credits: 73500 is 73.5.
function amounts.credits(millicredits)
  local text = string.format("%.3f", millicredits / 1000)
  return (string.gsub(string.gsub(text, "0+$", ""), "%.$", ""))
end

-- floor(total * part / whole). Exact: the product stays below 2^53, and fmod does not round where division would.
function amounts.share(total, part, whole)
  local product = total * part
  return (product - math.fmod(product, whole)) / whole
end

-- Redis's own clock, in milliseconds: the only one that decides anything about credits.
function amounts.real_now()
  local time = redis.call("TIME")
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
