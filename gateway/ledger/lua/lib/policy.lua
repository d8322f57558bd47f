-- The policy: what scripts need of the rate card, as written by `publish`.
--- @include "lib/keys"
local policy = {}

local function field_of(plan) return plan and "plan:" .. plan or "free" end

local archived -- read once in a run

-- What nearly every script needs: the operators' webhooks, the terms of `plan` (nil: without a plan), and whether there
-- is an archive; and the rules that this one will.
function policy.load(plan, ...)
  local likely = field_of(plan)
  local values = redis.call("HMGET", keys.policy(), likely, "webhooks", "archive", ...)
  if not values[1] and redis.call("EXISTS", keys.policy()) == 0 then
    error("no policy: start a gateway, it publishes the rate card")
  end
  archived = values[3] == "1"
  local p = {texts = {[likely] = values[1]}, terms = {}, webhooks = values[2] or nil}
  for index, name in ipairs({...}) do p[name] = values[index + 3] end
  return p
end

-- Rarely needed values, as text: `zone`, `reset`, `daily`, `everyone`, `verified`, `grace`, `leftover`, `spent`.
function policy.rule(p, name)
  if p[name] == nil then p[name] = redis.call("HGET", keys.policy(), name) end
  return p[name]
end

-- Whether an archive keeps what is removed here.
function policy.archived()
  if archived == nil then archived = redis.call("HGET", keys.policy(), "archive") == "1" end
  return archived
end

-- Retention in ms: `lists`, `journal`, `usage`. Gateways from before these settings published none.
local USUAL = {lists = 40, journal = 400, usage = 400}
function policy.kept(p, name)
  return tonumber(policy.rule(p, "keep:" .. name) or USUAL[name] * 86400000)
end

-- The terms of a plan, or with nil those without one; nil if the plan was never on any card. They are text:
-- "monthly,max waiting,head start;tool:concurrency,…;allow" (`allow` is JSON, or empty). Numbers are returned as text.
function policy.terms(p, plan)
  local field = field_of(plan)
  if p.terms[field] == nil then
    local text = p.texts[field] or redis.call("HGET", keys.policy(), field)
    if not text then return nil end
    local monthly, max_waiting, head_start, tools, allow = string.match(text, "^(%d+),(%d+),(%d+);([^;]*);(.*)$")
    allow = allow ~= "" and cjson.decode(allow) or {}
    p.terms[field] = {
      monthly = monthly, max_waiting = max_waiting, head_start = head_start, tools = tools, allow = allow,
    }
  end
  return p.terms[field]
end

-- The terms of a generation ordered on a plan: its tool's, and the plan's own. If that does not say how long outputs
-- are kept: `outputs_kept`.
function policy.limits(p, plan, of_tool, outputs_kept)
  local kept = policy.rule(p, "outputs:" .. (plan or "free"))
  return of_tool .. "," .. (kept and kept ~= "" and kept or outputs_kept) .. "," .. policy.terms(p, plan).head_start
end

-- How many generations of a tool may be in work at once (R14).
function policy.concurrency(p, plan, tool)
  local tools = "," .. policy.terms(p, plan).tools
  local _, before = string.find(tools, "," .. tool .. ":", 1, true)
  return before and tonumber(string.match(tools, "^%d+", before + 1)) or 1
end
