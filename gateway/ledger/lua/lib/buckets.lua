-- The buckets in burn order (R5), each with its letter in stored texts. Python reads this list too (`records.py`).
local buckets = {rank = {}}
buckets.list = {
  {"f", "free"},
  {"s", "subscription"},
  {"t", "top_up"},
}
for position, bucket in ipairs(buckets.list) do buckets.rank[bucket[1]] = position end
