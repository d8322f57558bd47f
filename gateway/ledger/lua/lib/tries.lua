-- The results of an event's latest tries: `at,status code,word,duration ms;…`.
--- @include "lib/amounts"
local tries = {}
local SHOWN_MAX = 20
local SECOND, HOUR = 1000, 3600000
-- Pauses after the first try. With a jitter of a tenth they end within a day: 23 h 43 min.
local PAUSES = {
  5 * SECOND, 30 * SECOND, 120 * SECOND, 600 * SECOND, 1800 * SECOND, HOUR, 2 * HOUR, 4 * HOUR, 4 * HOUR, 4 * HOUR,
  4 * HOUR, 4 * HOUR,
}

-- If there are so many events that tries are late, the day ends before all pauses have been used.
local LATE_FAILURES, LATE = 5, 24 * HOUR

function tries.load(key)
  local flat = redis.call("HGETALL", key)
  if #flat == 0 then return nil end
  local d = {}
  for index = 1, #flat, 2 do d[flat[index]] = flat[index + 1] end
  return d
end

-- How long to wait after this many failures, the first of them `lasted` ago, times `jitter` thousandths; nil: no more.
function tries.pause(failures, lasted, jitter)
  if failures >= LATE_FAILURES and lasted >= LATE then return nil end
  local pause = PAUSES[failures]
  return pause and math.floor(pause * jitter / 1000)
end

function tries.add(key, d, now, code, word, duration)
  local parts = {}
  for try in string.gmatch(d.tries or "", "[^;]+") do parts[#parts + 1] = try end
  parts[#parts + 1] = table.concat({d.claimed_at or amounts.text(now), code, word, amounts.text(duration)}, ",")
  while #parts > SHOWN_MAX do table.remove(parts, 1) end
  d.tries = table.concat(parts, ";")
  redis.call("HSET", key, "tries", d.tries)
  redis.call("HINCRBY", key, "tried", 1)
end
