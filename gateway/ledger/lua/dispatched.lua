#!lua flags=allow-oom
-- Extend dispatch deadlines, now that arq has the jobs: each only if it has not changed since it was read (outbox,
-- section 5).
--
-- KEYS[1]  deadlines
-- Returns  {"noted", generation…}: those with unchanged deadlines
-- Writes   deadlines
--- @include "lib/keys" "lib/amounts" "lib/generations" "lib/standstill"
local read = unpack(ARGV) -- `generation:deadline`, as read, comma-separated
local CHECK_AGAIN_MS = 60000
local now = amounts.real_now()

-- When to check a generation again; nil if it no longer needs dispatching.
local function next_check(id)
  local fields = redis.call(
    "HMGET", keys.generation(id), "state", "parked", "ref", "queued_at", "not_before", "terms", "in_line")
  local state, parked, ref, queued_at, not_before = unpack(fields, 1, 5)
  if state ~= "queued" and not parked then return nil end
  local at = math.max(now, tonumber(not_before or 0)) + CHECK_AGAIN_MS
  if state ~= "queued" or ref or fields[7] then return at end
  local over = tonumber(queued_at) + generations.terms({terms = fields[6]}).queue_timeout
  if over < now then over = standstill.gives_up_at(generations.load(id), now) end -- perhaps it was paused
  return math.min(at, math.max(now, over))
end

local moved = {}
for id, known in string.gmatch(read, "([^:,]+):(%d+)") do
  local deadline = redis.call("ZSCORE", KEYS[1], id)
  moved[id] = deadline and tonumber(deadline) == tonumber(known) and next_check(id) or nil
end

local reply = {"noted"}
for id, at in pairs(moved) do
  generations.set_deadline(id, at)
  table.insert(reply, id)
end
return reply
