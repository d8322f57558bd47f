-- What the shares of an allocation are worth, as `lib/worth.lua` has it, which says how grants come by it.
local worths = {}

-- Nothing was paid for daily credits and those of operators. Of others it is unknown what was: they are from before.
function worths.usual(id, bucket)
  local kind = string.sub(id, 1, 1)
  return (kind == "d" or kind == "o" or kind == "r" and bucket == "f") and "0" or "?"
end

-- What each share of a generation's allocation was worth when it was reserved, as `share.worth`.
function worths.read(g, allocation)
  local index = 0
  for text in string.gmatch((g.worth or "") .. ",", "([^,]*),") do
    index = index + 1
    local share = allocation[index]
    if share and text ~= "" then share.worth = text end
  end
  for _, share in ipairs(allocation) do share.worth = share.worth or worths.usual(share.id, share.bucket) end
  return allocation
end
