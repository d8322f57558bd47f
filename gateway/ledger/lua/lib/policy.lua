-- What the rate card means to the scripts, as `publish` wrote it.
local policy = {}

-- Everything but the terms of plans, which `policy.terms` reads when they are needed.
function policy.load()
  local values = redis.call("HMGET", keys.policy(), "zone", "reset", "daily", "everyone", "grace", "leftover")
  if not values[1] then error("no policy: start a gateway, it publishes the rate card") end
  return {
    zone = values[1], reset = tonumber(values[2]), daily = tonumber(values[3]), everyone = values[4] == "1",
    grace = tonumber(values[5]), keep_leftover = values[6] == "1", plans = {},
  }
end

-- The terms of a plan, or with nil those of having none; nil if the plan was never on any card.
function policy.terms(p, plan)
  local field = plan and "plan:" .. plan or "free"
  if p.plans[field] == nil then
    local text = redis.call("HGET", keys.policy(), field)
    p.plans[field] = text and cjson.decode(text) or false
  end
  return p.plans[field] or nil
end

-- How many generations of a tool may be in work at once (R14).
function policy.concurrency(p, plan, tool)
  return policy.terms(p, plan).concurrency[tool] or 1
end
