-- One generation: loading, replying, queueing, and the one way in which it ends (R9, R14, R16).
--- @include "lib/keys" "lib/amounts"
local generations = {}

function generations.load(id)
  local flat = redis.call("HGETALL", keys.generation(id))
  if #flat == 0 then return nil end
  -- With room for the fields that it has at least: to grow, Lua allocates a table anew at each power of two.
  local g = {
    id = id, account = nil, tool = nil, model = nil, request = nil, price = nil, outputs = nil, allocation = nil,
    terms = nil, state = nil, attempt = nil, failures = nil, version = nil, operation = nil, created_at = nil,
    queued_at = nil, entries = nil, delivered = nil,
  }
  for index = 1, #flat, 2 do g[flat[index]] = flat[index + 1] end
  return g
end

function generations.open(g) return g.state == "waiting" or g.state == "queued" or g.state == "running" end

-- Whether this attempt holds the generation now; stale workers are refused.
function generations.held_by(g, attempt) return g and g.state == "running" and g.attempt == attempt and not g.parked end

-- The limits copied at reserve: milliseconds, and how many failures end it.
function generations.terms(g)
  local queue, provider, waiting, attempts, outputs, head_start =
    string.match(g.terms, "^(%d+),(%d+),(%d+),(%d+),(%d+),(%d+)$")
  return {
    queue_timeout = tonumber(queue), provider_timeout = tonumber(provider), waiting_timeout = tonumber(waiting),
    attempts_max = tonumber(attempts), outputs_kept = tonumber(outputs), head_start = tonumber(head_start),
  }
end

-- A generation as a reply: its id, then its fields by pairs.
function generations.reply(id) return {id, redis.call("HGETALL", keys.generation(id))} end

-- The same for one that is in memory exactly as it is stored, which reads nothing.
function generations.written(g)
  local flat, length = {}, 0
  for name, value in pairs(g) do
    if name ~= "id" then flat[length + 1], flat[length + 2], length = name, value, length + 2 end
  end
  return {g.id, flat}
end

-- The reply of the ending that `operation` made, for a retry (R11); else nil. If the dispatch of promoted generations
-- was lost, a caretaker dispatches them.
function generations.ended_by(g, operation)
  if not g or generations.open(g) or g.operation ~= operation then return nil end
  return {"ended", g.ref or "", generations.reply(g.id), {}}
end

-- Write fields of a loaded generation, in memory too; every change is a new version (the id of its live event).
function generations.set(g, ...)
  local fields = {...}
  for index = 1, #fields, 2 do g[fields[index]] = fields[index + 1] end
  g.version = amounts.text(tonumber(g.version or 0) + 1)
  redis.call("HSET", keys.generation(g.id), "version", g.version, ...)
end

-- Remove fields of a loaded generation, of those named the ones that it has: most scripts find none, and save a command
-- that would look for each.
function generations.remove(g, ...)
  local found = {}
  for _, name in ipairs({...}) do
    if g[name] then found[#found + 1], g[name] = name, nil end
  end
  if #found > 0 then redis.call("HDEL", keys.generation(g.id), unpack(found)) end
end

function generations.set_deadline(id, at) redis.call("ZADD", keys.deadlines(), amounts.text(at), id) end

function generations.count(field, delta)
  if delta ~= 0 then redis.call("HINCRBY", keys.totals(), field, amounts.text(delta)) end
end

-- The provider is the request's first member; matching it, unlike decoding the whole, cannot fail after a write.
function generations.provider(request) return string.match(request, '^{"provider":"([^"\\]*)"') or "" end

--- @rarely

-- Add to a member's list, which is gone once everything in it is too old to be listed.
function generations.list(list_key, place, id, kept)
  redis.call("ZADD", list_key, place, id)
  redis.call("PEXPIRE", list_key, amounts.text(kept))
end

-- All providers that may make it, comma-separated.
function generations.providers(g) return g.providers or generations.provider(g.request) end

-- Its provider has no job of it and never will: another may be chosen for the next attempt (R30). `tried`: what the
-- provider said, with all others' words; or "" if it was not asked, or the attempt ended before that.
function generations.release(g, tried)
  redis.call("HSET", keys.generation(g.id), "released", g.attempt)
  if tried ~= "" then redis.call("HSET", keys.generation(g.id), "tried", tried) end
end

-- What a caller needs to put a generation into arq, whose deadline is `deadline` (R15: counted from created_at).
function generations.dispatch(g, deadline)
  return {
    g.id, g.tool, amounts.text(tonumber(g.attempt) + 1),
    amounts.text(tonumber(g.created_at) - generations.terms(g).head_start),
    g.queued_at or g.created_at, g.not_before or "0", amounts.text(deadline), g.account,
    generations.provider(g.request),
  }
end

-- Move to `queued` (for the first time, again, or after a pause) and set the dispatch deadline.
function generations.queue(g, now, not_before, dispatch_ms)
  local deadline = math.max(now + dispatch_ms, not_before)
  generations.count(g.state .. ":" .. g.tool, -1)
  g.state, g.queued_at, g.not_before = "queued", amounts.text(now), amounts.text(not_before)
  generations.set(g, "state", "queued", "queued_at", g.queued_at, "not_before", g.not_before)
  generations.remove(g, "lease_until", "parked", "looks")
  generations.set_deadline(g.id, deadline)
  generations.count("queued:" .. g.tool, 1)
  return generations.dispatch(g, deadline)
end
