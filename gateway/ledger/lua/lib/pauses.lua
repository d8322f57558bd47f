-- What operators have paused (R36): fields `pause:<kind>:<name>` of the policy, `pause` of an account, each
-- "<since>[ wait][ until <end>],<reason>".
--- @include "lib/keys"
local pauses = {}

-- Read one: since, whether what is new waits, its end or nil, the reason.
function pauses.parse(text)
  local since, how, reason = string.match(text, "^(%d+)([^,]*),(.*)$")
  return since, string.find(how, " wait", 1, true) and "wait" or "refuse", string.match(how, " until (%d+)"), reason
end

-- The pause in force for this tool, model and provider in an account whose own pause is `own` (or false): {kind, name,
-- since, what happens to what is new, end or "", reason}, or nil. One that refuses comes before one that lets wait.
function pauses.of(now, account, own, tool, model, provider)
  local found = redis.call(
    "HMGET", keys.policy(), "pause:tool:" .. tool, "pause:model:" .. model, "pause:provider:" .. provider)
  if not (own or found[1] or found[2] or found[3]) then return nil end -- as nearly always
  local names, waits = {{"account", account}, {"tool", tool}, {"model", model}, {"provider", provider}}, nil
  for index, text in ipairs({own or false, unpack(found, 1, 3)}) do
    if text then
      local since, new, ends, reason = pauses.parse(text)
      local pause = {names[index][1], names[index][2], since, new, ends or "", reason}
      local over = ends and now >= tonumber(ends)
      if not over and new == "refuse" then return pause end
      if not over then waits = waits or pause end
    end
  end
  return waits
end

-- The same for a generation: nil also if its provider has its job, which goes on.
function pauses.holding(g, now, provider)
  if g.ref or g.state == "running" then return nil end
  return pauses.of(now, g.account, redis.call("HGET", keys.account(g.account), "pause"), g.tool, g.model, provider)
end
