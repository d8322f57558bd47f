-- Whatever takes a generation out of work lets as many waiting ones move to `queued` as now fit (R14).
local promotion = {}

-- Read: who may move, first come first. Counts them into the account in memory; `promotion.write` moves them.
function promotion.choose(a, p, tool)
  local room = policy.concurrency(p, a.fields.plan, tool) - accounts.count(a, "work:" .. tool)
  if room <= 0 or accounts.count(a, "waiting:" .. tool) == 0 then return {} end
  local chosen = {}
  for _, id in ipairs(redis.call("ZRANGE", keys.waiting(a.id, tool), 0, room - 1)) do
    chosen[#chosen + 1] = generations.load(id)
  end
  accounts.add(a, "work:" .. tool, #chosen)
  accounts.add(a, "waiting:" .. tool, -#chosen)
  return chosen
end

-- Write: returns what must be dispatched.
function promotion.write(a, chosen, dispatch_ms)
  local dispatches = {}
  for index, g in ipairs(chosen) do
    redis.call("ZREM", keys.waiting(a.id, g.tool), g.id)
    dispatches[index] = generations.queue(g, a.real, 0, dispatch_ms)
  end
  return dispatches
end

-- All tools at once, after a plan change.
function promotion.choose_all(a, p)
  local chosen = {}
  for field in pairs(a.raw) do
    local tool = string.match(field, "^waiting:(.+)$")
    if tool then
      for _, g in ipairs(promotion.choose(a, p, tool)) do chosen[#chosen + 1] = g end
    end
  end
  return chosen
end
