#!lua flags=no-writes
-- The ledger's time, so that processes can measure how far their own clocks are off.
--
-- KEYS[1]  policy
-- Returns  {"time", real time}
-- Writes   nothing
--- @include "lib/amounts"
return {"time", amounts.text(amounts.real_now())}
