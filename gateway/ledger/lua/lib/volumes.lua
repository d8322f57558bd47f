-- How many outputs of a model with graduated prices an account has ordered this month, in the card's time zone: what is
-- in work or delivered. volume:<model> = day,outputs: of the month of that day.
--- @include "lib/amounts" "lib/limits"
local volumes = {}

local function read(a, model)
  local day, outputs = string.match(a.fields["volume:" .. model] or "", "^(%d+),(%d+)$")
  return tonumber(day), tonumber(outputs)
end

-- Count a new generation's outputs. `volume`: how many, and for an account that has ordered how many the price is,
-- `outputs,least,most`, or `outputs,least,` without a limit; "": nothing is counted. Returns the day, which `give_back`
-- needs, or ""; or nil and the refusal.
function volumes.count(a, p, model, volume)
  if volume == "" then return "" end
  local outputs, least, most = string.match(volume, "^(%d+),(%d+),(%d*)$")
  local day, ordered = limits.today(a, p), 0
  local last, before = read(a, model)
  if last and limits.together("monthly", last, day) then ordered = before end
  if ordered < tonumber(least) or ordered > (tonumber(most) or math.huge) then
    return nil, {"volume_moved", amounts.text(ordered)}
  end
  a.fields["volume:" .. model] = amounts.text(day) .. "," .. amounts.text(ordered + tonumber(outputs))
  return amounts.text(day)
end

-- A generation has ended: what was not delivered was not made in the month it was ordered in.
function volumes.give_back(a, g)
  local last, ordered = read(a, g.model)
  if not g.volume or not last or not limits.together("monthly", tonumber(g.volume), last) then return end
  local left = math.max(0, ordered - (tonumber(g.outputs) - tonumber(g.delivered)))
  a.fields["volume:" .. g.model] = amounts.text(last) .. "," .. amounts.text(left)
end
