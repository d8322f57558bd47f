-- What the archive does not have yet. Scripts mark the accounts that they change; `farebox archivist` takes the marks.
-- Without an archive nothing is marked. With one, nothing is removed before it is there.
--- @include "lib/keys" "lib/amounts" "lib/policy"
local archive = {}

-- Write: mark an account, and a generation of it that changed without an entry. The score is the time of the oldest
-- change, so the lowest of a partition is how far its archive is behind.
function archive.mark(account, now, generation)
  if not policy.archived() then return end
  local key, at = keys.unarchived(), amounts.text(now)
  if generation then
    redis.call("ZADD", key, "NX", at, account, at, account .. " " .. generation)
  else
    redis.call("ZADD", key, "NX", at, account)
  end
end

-- Write: mark an account that is saved. A hold alone is copied with what follows it, its end at the latest: so
-- `reserve` marks nothing.
function archive.note(a)
  local entries = a.new_entries
  if policy.archived() and not (#entries == 1 and string.find(entries[1], "^%d+|%d+|reserve|")) then
    archive.mark(a.id, a.real, a.unarchived)
  end
end
