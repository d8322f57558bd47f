-- Grants whose purchase was refunded or disputed, as two lists of ids, comma-separated. Of one in `revoked`, all of
-- whose payment was returned, later refunds are taken too, and nothing is given back. Of one in `owing`, which had held
-- credits then, refunds first pay the account's debt.
local marks = {}

function marks.has(a, list, id)
  return string.find("," .. (a.fields[list] or "") .. ",", "," .. id .. ",", 1, true) ~= nil
end

function marks.set(a, list, id)
  if not marks.has(a, list, id) then a.fields[list] = a.fields[list] and a.fields[list] .. "," .. id or id end
end

function marks.clear(a, list, id)
  local left = {}
  for one in string.gmatch(a.fields[list] or "", "[^,]+") do
    if one ~= id then left[#left + 1] = one end
  end
  a.fields[list] = #left > 0 and table.concat(left, ",") or nil
end
