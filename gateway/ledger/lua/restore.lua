#!lua
-- Write what the archive has of some accounts to a ledger that is being rebuilt: all of it, or nothing.
--
-- KEYS[1]  policy
-- Returns  {"restored"} {"refused", key}: one of another partition
-- Writes   account, generation, deadlines, waiting, recent, made_by, journal, usage, usage_keys, usage_tags, outputs,
--          failed, webhook, billing
--- @include "lib/keys"
local
  commands -- JSON: {"HSET", key, field, value…}, …; at most 7,000 words in each
  = unpack(ARGV)
local restored = cjson.decode(commands)
for _, command in ipairs(restored) do
  if string.sub(command[2], 1, #keys.tag + 1) ~= keys.tag .. ":" then return {"refused", command[2]} end
end

for _, command in ipairs(restored) do redis.call(unpack(command)) end
return {"restored"}
