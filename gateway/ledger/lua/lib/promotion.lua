-- Each script that frees a concurrency slot moves as many waiting generations to `queued` as now fit (R14): at most
-- AT_ONCE per script. If more fit, the first of the rest is marked as due at once. Rescuing it promotes the next
-- AT_ONCE, and so does any other ending. The mark is a normal deadline: no crash loses it.
--- @include "lib/keys" "lib/policy" "lib/accounts" "lib/generations"
local promotion = {}
local AT_ONCE = 100 -- some 95 us each: blocks Redis for 10 ms

-- Whether it is due before its waiting timeout: more than AT_ONCE fitted, and it is the first of the rest.
function promotion.marked(g)
  return tonumber(redis.call("ZSCORE", keys.deadlines(), g.id) or 0) < promotion.gives_up_at(g)
end

-- When a waiting one times out.
function promotion.gives_up_at(g) return tonumber(g.created_at) + generations.terms(g).waiting_timeout end

-- Read: which generations can be promoted, in order of creation, at most `budget` (nil: AT_ONCE). Counts them in the
-- account in memory; `promotion.write` moves them. `next` in the result: which to mark. `leaving` no longer waits.
function promotion.choose(a, p, tool, leaving, budget)
  local chosen, room = {next = {}}, policy.concurrency(p, a.fields.plan, tool) - accounts.count(a, "work:" .. tool)
  if room <= 0 or accounts.count(a, "waiting:" .. tool) == 0 then return chosen end
  local most = math.min(room, budget or AT_ONCE)
  for _, id in ipairs(redis.call("ZRANGE", keys.waiting(a.id, tool), 0, most + 1)) do
    if id ~= leaving and #chosen < most then
      chosen[#chosen + 1] = generations.load(id)
    elseif id ~= leaving and #chosen < room and #chosen.next == 0 then
      chosen.next[1] = id
    end
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
  for _, id in ipairs(chosen.next or {}) do generations.set_deadline(id, a.real) end
  return dispatches
end

-- All tools, after a plan change: AT_ONCE of all of them together.
function promotion.choose_all(a, p)
  local chosen = {next = {}}
  for field in pairs(a.raw) do
    local tool = string.match(field, "^waiting:(.+)$")
    if tool then
      local found = promotion.choose(a, p, tool, nil, AT_ONCE - #chosen)
      for _, g in ipairs(found) do chosen[#chosen + 1] = g end
      for _, id in ipairs(found.next) do table.insert(chosen.next, id) end
    end
  end
  return chosen
end
