-- What the rate card means to the scripts, as `publish` wrote it.
local policy = {}

local function field_of(plan) return plan and "plan:" .. plan or "free" end

-- Terms are text: "monthly,max waiting,head start;tool:concurrency,…;allow" (the last as JSON, or nothing).
local function decoded(text)
  local monthly, max_waiting, head_start, tools, allow = string.match(text, "^(%d+),(%d+),(%d+);([^;]*);(.*)$")
  return {
    monthly = tonumber(monthly), max_waiting = tonumber(max_waiting), head_start = tonumber(head_start),
    tools = tools, allow = allow ~= "" and cjson.decode(allow) or {},
  }
end

-- All but the terms of plans. Those of `plan` (nil: of having none), which are most likely asked for, come with it.
function policy.load(plan)
  local likely = field_of(plan)
  local values = redis.call(
    "HMGET", keys.policy(), "zone", "reset", "daily", "everyone", "grace", "leftover", likely, "webhooks")
  if not values[1] then error("no policy: start a gateway, it publishes the rate card") end
  return {
    zone = values[1], reset = tonumber(values[2]), daily = tonumber(values[3]), everyone = values[4] == "1",
    grace = tonumber(values[5]), keep_leftover = values[6] == "1",
    texts = {[likely] = values[7]}, terms = {}, webhooks = values[8] or nil,
  }
end

-- The terms of a plan, or with nil those of having none; nil if the plan was never on any card.
function policy.terms(p, plan)
  local field = field_of(plan)
  if p.terms[field] == nil then
    local text = p.texts[field] or redis.call("HGET", keys.policy(), field)
    p.terms[field] = text and decoded(text) or false
  end
  return p.terms[field] or nil
end

-- How many generations of a tool may be in work at once (R14).
function policy.concurrency(p, plan, tool)
  for name, count in string.gmatch(policy.terms(p, plan).tools, "([^:,]+):(%d+)") do
    if name == tool then return tonumber(count) end
  end
  return 1
end
