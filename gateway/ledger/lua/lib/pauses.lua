-- What operators have paused (R36): fields `pause:<kind>:<name>` of the policy, `pause` of an account, each
-- "<since>,<reason>".
--- @include "lib/keys"
local pauses = {}

-- The reply that refuses what would be new, or nil: the account's own pause, or its tool's, model's, provider's.
function pauses.refusal(a, tool, model, provider)
  local names = {{"account", a.id}, {"tool", tool}, {"model", model}, {"provider", provider}}
  local found = redis.call(
    "HMGET", keys.policy(), "pause:tool:" .. tool, "pause:model:" .. model, "pause:provider:" .. provider)
  for index, text in ipairs({a.fields.pause or false, unpack(found, 1, 3)}) do
    if text then
      local since, reason = string.match(text, "^(%d+),(.*)$")
      return {"paused", names[index][1], names[index][2], since, reason}
    end
  end
end
