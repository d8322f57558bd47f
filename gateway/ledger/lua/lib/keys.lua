-- The only place in Lua that builds the ledger's keys, except those of webhooks; all derive from the hash tag of
-- KEYS[1].
local tag = string.match(KEYS[1], "^{[^}]*}")
local keys = {tag = tag, partition = tag and string.sub(tag, -3, -2)} -- the partition is its two digits

function keys.account(account) return tag .. ":account:" .. account end
function keys.generation(generation) return tag .. ":generation:" .. generation end
function keys.deadlines() return tag .. ":deadlines" end
function keys.outputs() return tag .. ":outputs" end
function keys.waiting(account, tool) return tag .. ":waiting:" .. account .. ":" .. tool end
function keys.journal(account) return tag .. ":journal:" .. account end
function keys.recent(account) return tag .. ":recent:" .. account end
function keys.usage(account, day) return tag .. ":usage:" .. account .. ":" .. day end
function keys.usage_keys(account, day) return tag .. ":usage_keys:" .. account .. ":" .. day end
function keys.margin(day) return tag .. ":margin:" .. day end
function keys.idempotency(scope, digest) return tag .. ":idempotency:" .. scope .. ":" .. digest end
function keys.totals() return tag .. ":totals" end
function keys.policy() return tag .. ":policy" end

--- @rarely
function keys.failed() return tag .. ":failed" end
function keys.token(account, token) return tag .. ":token:" .. account .. ":" .. token end
function keys.made_by(account, member) return tag .. ":made_by:" .. account .. ":" .. member end
function keys.usage_tags(account, day) return tag .. ":usage_tags:" .. account .. ":" .. day end
function keys.checkout(account, checkout) return tag .. ":checkout:" .. account .. ":" .. checkout end
function keys.purchases(account) return tag .. ":purchases:" .. account end
function keys.billing(account) return tag .. ":billing:" .. account end
function keys.unarchived() return tag .. ":unarchived" end
function keys.archiving() return tag .. ":archiving" end
