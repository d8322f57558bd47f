-- What operators have paused (R36): fields `pause:<kind>:<name>` of the policy, `pause` of an account, each
-- "<since>[ wait][ until <end>],<reason>".
--- @include "lib/keys"
local pauses = {}

-- Read one: since, whether what is new waits, its end or nil, the reason.
function pauses.parse(text)
  local since, how, reason = string.match(text, "^(%d+)([^,]*),(.*)$")
  return since, string.find(how, " wait", 1, true) and "wait" or "refuse", string.match(how, " until (%d+)"), reason
end

local function in_force(now, kind, name, text)
  if not text then return nil end
  local since, new, ends, reason = pauses.parse(text)
  if ends and now >= tonumber(ends) then return nil end
  return {kind, name, since, new, ends or "", reason}
end

-- Of several providers only if all are paused: by the first that lets wait, else by the first.
local function of_providers(now, names, found)
  local chosen
  for index, name in ipairs(names) do
    local pause = in_force(now, "provider", name, found[2 + index])
    if not pause then return nil end
    if not chosen or (chosen[4] == "refuse" and pause[4] == "wait") then chosen = pause end
  end
  return chosen
end

-- The pause in force for this tool, model and providers (comma-separated) in an account whose own pause is `own` (or
-- false): {kind, name, since, what happens to what is new, end or "", reason}, or nil. One that refuses comes before
-- one that lets wait.
function pauses.of(now, account, own, tool, model, providers)
  local fields, names, any = {"pause:tool:" .. tool, "pause:model:" .. model}, {}, own
  for name in string.gmatch(providers, "[^,]+") do
    names[#names + 1], fields[#fields + 1] = name, "pause:provider:" .. name
  end
  local found = redis.call("HMGET", keys.policy(), unpack(fields))
  for index = 1, #fields do any = any or found[index] end
  if not any then return nil end -- as nearly always
  local each = {
    in_force(now, "account", account, own), in_force(now, "tool", tool, found[1]),
    in_force(now, "model", model, found[2]), of_providers(now, names, found),
  }
  local waits
  for index = 1, 4 do
    if each[index] and each[index][4] == "refuse" then return each[index] end
    waits = waits or each[index]
  end
  return waits
end

-- The same for a generation: nil also if its provider has its job, which goes on.
function pauses.holding(g, now, providers)
  if g.ref or g.state == "running" then return nil end
  return pauses.of(now, g.account, redis.call("HGET", keys.account(g.account), "pause"), g.tool, g.model, providers)
end
