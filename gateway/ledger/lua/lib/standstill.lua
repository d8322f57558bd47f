-- How long a generation was paused (R36): its time in the queue or waiting room stands still meanwhile. Former pauses
-- are kept as `paused:<kind>:<name>` of the policy, `paused` of an account, each "<since>-<end>,…".
--- @include "lib/keys" "lib/generations" "lib/pauses"
local standstill = {}
local KEPT = 20

-- A list of former pauses with one more. Of too many, the two oldest become one.
function standstill.with(former, since, ends)
  local spans = {}
  for from, to in string.gmatch(former or "", "(%d+)%-(%d+)") do spans[#spans + 1] = {from, to} end
  spans[#spans + 1] = {since, ends}
  if #spans > KEPT then
    spans[1][2] = spans[2][2]
    table.remove(spans, 2)
  end
  local texts = {}
  for index, span in ipairs(spans) do texts[index] = span[1] .. "-" .. span[2] end
  return table.concat(texts, ",")
end

-- How many milliseconds between `from` and `now` its account, tool, model or provider was paused.
local function paused_ms(g, from, now)
  local own = redis.call("HMGET", keys.account(g.account), "pause", "paused")
  local named = {}
  for _, name in ipairs({":tool:" .. g.tool, ":model:" .. g.model, ":provider:" .. generations.provider(g.request)}) do
    named[#named + 1], named[#named + 2] = "pause" .. name, "paused" .. name
  end
  local found, spans = redis.call("HMGET", keys.policy(), unpack(named)), {}
  local function add(pause, former)
    for since, ends in string.gmatch(former or "", "(%d+)%-(%d+)") do
      spans[#spans + 1] = {tonumber(since), tonumber(ends)}
    end
    if pause then
      local since, _, ends = pauses.parse(pause)
      spans[#spans + 1] = {tonumber(since), math.min(now, tonumber(ends or now))}
    end
  end
  add(own[1], own[2])
  for index = 1, #found, 2 do add(found[index], found[index + 1]) end
  table.sort(spans, function(one, other) return one[1] < other[1] end)
  local paused, at = 0, from
  for _, span in ipairs(spans) do
    local since, ends = math.max(at, span[1]), math.min(now, span[2])
    if ends > since then paused, at = paused + ends - since, ends end
  end
  return paused
end

-- When the time of one that waits or is queued is over; the time for which it was paused does not count.
function standstill.gives_up_at(g, now)
  local terms, waits = generations.terms(g), g.state == "waiting"
  local from = tonumber(waits and g.created_at or g.queued_at)
  local over = from + (waits and terms.waiting_timeout or terms.queue_timeout)
  return over > now and over or over + paused_ms(g, from, now)
end
