#!lua flags=allow-oom
-- Write the policy of a rate card, unless a newer one is in force. Plans it no longer has keep their last terms.
--
-- KEYS[1]  policy
-- Returns  {"newer", its version} {"published"}
-- Writes   policy
--- @include "lib/amounts"
local
  version, file_time, keep_journal_ms,
  keep_least_ms, -- the same, or how long what is archived is kept, if that is less
  fields -- the others (JSON: field, value, …)
  = unpack(ARGV)
local OPEN = 10 * 86400000 -- for how long a generation may be open
local known, flat = {}, redis.call("HGETALL", KEYS[1])
for index = 1, #flat, 2 do known[flat[index]] = flat[index + 1] end
if known.file_time and tonumber(known.file_time) > tonumber(file_time) then return {"newer", known.version} end

local function longest(of)
  local most = tonumber(of["keep:outputs"]) or 0
  for field, kept in pairs(of) do
    if string.match(field, "^outputs:") then most = math.max(most, tonumber(kept) or 0) end
  end
  return most
end

-- Trimmed entries are gone, even if journals are kept longer from now on: the audit must not expect them.
local least = known["keep:journal_least"] or keep_least_ms
least = tonumber(least) < tonumber(keep_least_ms) and least or keep_least_ms
-- Lists are kept as long as the gateway says, and never for less than outputs: by them, an erased person's are found.
-- A shorter life of outputs counts once all that were promised the longer one are gone (`keep:promised`).
local now, before = amounts.real_now(), longest(known)
local promised, promised_until = string.match(known["keep:promised"] or "", "^(%d+),(%d+)$")
promised = now < tonumber(promised_until or 0) and tonumber(promised) or 0
local gone = {}
for field in pairs(known) do
  if string.match(field, "^sale:") then gone[#gone + 1] = field end
end
fields = cjson.decode(fields)
for index = 1, #fields, 2 do known[fields[index]] = fields[index + 1] end
local outputs = longest(known)
if outputs < before then
  promised = math.max(promised, before)
  promised_until = amounts.text(now + promised + OPEN)
end
local set = known["keep:lists"] -- as it was just given
local lists = amounts.text(math.max(tonumber(set), math.max(outputs, promised) + OPEN))

if #gone > 0 then redis.call("HDEL", KEYS[1], unpack(gone)) end
redis.call(
  "HSET", KEYS[1], "version", version, "file_time", file_time, "keep:journal", keep_journal_ms,
  "keep:journal_least", least, unpack(fields))
redis.call(
  "HSET", KEYS[1], "keep:lists", lists, "keep:lists_set", set,
  "keep:promised", promised > 0 and amounts.text(promised) .. "," .. promised_until or "")
return {"published"}
