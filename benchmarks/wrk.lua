-- For wrk: the prepared requests of a file in turn, each with something in it that was never sent before.
-- Arguments: the file, whose requests end in NUL; what stands for the new part; how each new part begins.
-- Its last line of output is JSON, as benchmarks/load.py writes it. No `response` here: wrk would parse every header.
local heads, tails, sent = {}, {}, 0
local run

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local unique = args[2]
  run = args[3]
  for text in file:read("*a"):gmatch("([^%z]+)%z") do
    local first, last = text:find(unique, 1, true)
    heads[#heads + 1] = first and text:sub(1, first - 1) or text
    tails[#tails + 1] = first and text:sub(last + 1) or false
  end
  file:close()
end

function request()
  local at = sent % #heads + 1
  sent = sent + 1
  return tails[at] and heads[at] .. run .. string.format("%012x", sent) .. tails[at] or heads[at]
end

function done(summary, latency)
  local wrong = summary.errors
  io.write(string.format(
    '{"per_second": %.3f, "p50_ms": %.4f, "p99_ms": %.4f, "sent": %d, "errors": %d}\n',
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    summary.requests, wrong.status + wrong.connect + wrong.read + wrong.write + wrong.timeout
  ))
end
