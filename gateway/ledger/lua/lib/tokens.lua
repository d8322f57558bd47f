-- What a client token may spend. Its counter is a key of its own, gone soon after the token: an account has few API
-- keys, but may have thousands of tokens, and every script reads all of an account.
--- @include "lib/keys" "lib/amounts"
local tokens = {}

-- The refusal if the price is more than is left, or the token is gone; else nil. "": no token.
function tokens.refusal(account, token, price)
  if token == "" then return nil end
  local limit, spent = unpack(redis.call("HMGET", keys.token(account, token), "limit", "spent"), 1, 2)
  if not limit then return {"keys_changed"} end
  if tonumber(spent) + price <= tonumber(limit) then return nil end
  return {"limit_reached", "token", limit, "never", spent, ""}
end

-- Count a price, or with a negative amount what is refunded of it.
function tokens.spend(account, token, millicredits)
  if not token or token == "" or millicredits == 0 then return end
  local key = keys.token(account, token)
  if redis.call("EXISTS", key) == 1 then redis.call("HINCRBY", key, "spent", amounts.text(millicredits)) end
end
