#!lua
-- Hold a price and create a generation, or change nothing: the least that is durable, once, and for this key.
--
-- KEYS[1]  account: `key`, `available`, `held`, `entries`
-- Returns  {"refused"} {"created", generation}
-- Writes   account, journal, generation, deadlines, queue, idempotency
local generation, key_digest, memory_digest, request_digest, price, request = unpack(ARGV)
local tag = string.match(KEYS[1], "^{[^}]*}")
local id = string.match(KEYS[1], ":account:(.*)$")
local memory = tag .. ":idempotency:" .. id .. ":" .. memory_digest
local account, remembered = redis.call("HMGET", KEYS[1], "key", "available", "held", "entries"), redis.call("GET", memory)
if account[1] ~= key_digest then return {"refused"} end
if remembered then
  local digest, made = string.match(remembered, "^(%S+) (%S+)$")
  return digest == request_digest and {"created", made} or {"refused"}
end
local available, held, entry = account[2] - price, account[3] + price, account[4] + 1
if available < 0 then return {"refused"} end
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)

redis.call("HSET", KEYS[1], "available", available, "held", held, "entries", entry)
redis.call(
  "LPUSH", tag .. ":journal:" .. id,
  string.format("%d|%d|reserve|%d|%d|s:%d:%d|%s|", entry, now, available, held, -price, price, generation))
redis.call(
  "HSET", tag .. ":generation:" .. generation, "account", id, "state", "queued", "attempt", "0", "price", price,
  "request", request, "created_at", string.format("%d", now), "version", "1")
redis.call("ZADD", tag .. ":deadlines", now + 2000, generation)
redis.call("ZADD", tag .. ":queue", now, generation)
redis.call("SET", memory, request_digest .. " " .. generation, "PX", 86400000)
return {"created", generation}
