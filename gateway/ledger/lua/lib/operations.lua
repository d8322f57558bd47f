-- An operator's change is applied once, however often its operation is sent (R11).
--- @include "lib/keys" "lib/policy" "lib/accounts" "lib/steps" "lib/promotion"
local operations = {}

-- Load and roll the account. Returns account, policy; or nil and the reply to return at once.
function operations.open(operation)
  local a = accounts.load(string.match(KEYS[1], ":account:(.*)$"))
  if not a then return nil, {"not_found"} end
  local p = policy.load(a.fields.plan)
  steps.roll(a, p)
  local done = redis.call("GET", keys.idempotency(a.id, "op." .. operation))
  if done then return nil, {"applied", done, accounts.view(a), {}} end
  return a, p
end

-- Save, store the operation, reply. `note` is returned with the account (a grant's id); `chosen` are promoted.
function operations.close(a, operation, note, chosen, dispatch_ms)
  accounts.check(a)
  accounts.save(a)
  redis.call("SET", keys.idempotency(a.id, "op." .. operation), note, "PX", 86400000)
  return {"applied", note, accounts.view(a), promotion.write(a, chosen, dispatch_ms)}
end
