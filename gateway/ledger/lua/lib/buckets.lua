-- The buckets in the order in which they burn (R5), each with the letter that stored texts name it by. Python reads
-- this very list (`records.py`).
local buckets = {rank = {}}
buckets.list = {
  {"f", "free"},
  {"s", "subscription"},
  {"t", "top_up"},
}
for position, bucket in ipairs(buckets.list) do buckets.rank[bucket[1]] = position end
