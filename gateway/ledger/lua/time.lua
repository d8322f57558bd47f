#!lua flags=no-writes
-- The time that decides about credits, so that processes can tell how far their own clocks are from it.
--
-- KEYS[1]  policy
-- Returns  {"time", real time}
-- Writes   nothing
--- @include "lib/amounts"
return {"time", amounts.text(amounts.real_now())}
