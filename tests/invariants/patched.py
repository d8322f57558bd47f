"""The ledger's scripts with some text of theirs replaced, in this process and in memory only.

What checks against the model, and most tests of the ledger, replace the clock, so that a deadline can be met to the
millisecond, nothing waits, and no outcome depends on how fast the machine is: the one place that asks Redis for its
time reads a key. The mutants replace one line more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import NamedTuple
from unittest.mock import patch

from gateway.ledger import keys
from gateway.ledger.scripts import SCRIPTS
from gateway.redis_link.scripts import Script

PARTITIONS_MAX = 4  # of the ledgers that tests make
CLOCKS = [
    *(f"clock{keys.tag(partition)}" for partition in range(PARTITIONS_MAX)),
    *(f"clock{{{name}}}" for name in (keys.AUDIT_LOG, keys.UNAPPLIED)),
]
"""The time, in milliseconds, beside each key that a script may begin with: on a cluster it reads only what is there."""
READS_TIME = """local time = redis.call("TIME")
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)"""
READS_KEY = f"""local clock = redis.call("GET", "clock{{" .. (KEYS[1]:match("{{(.-)}}") or KEYS[1]) .. "}}")
  if clock then return tonumber(clock) end
  {READS_TIME}"""
_OF_REDIS = {"admit", "client_call"}
"""They compare with keys that expire, which Redis's own time rules."""


class Mutant(NamedTuple):
    """What is wrong, and the one piece of Lua that makes it so."""

    fault: str
    was: str
    becomes: str
    rare: bool = False
    """Whether it takes tens of examples to meet it: it is for a long run."""


@contextmanager
def replaced(*replacements: tuple[str, str]) -> Iterator[set[str]]:
    """Scripts have each first text replaced by its second. Gives the scripts that were loaded and have all of it."""
    load, changed = SCRIPTS.load, set[str]()

    @cache
    def loaded(name: str) -> Script:
        script = load(name)
        source = script.source
        clock = () if READS_KEY in source else ((READS_TIME, READS_KEY),)  # another `replaced` may be around this one
        for text, other in (*clock, *replacements):
            times = source.count(text)
            assert times <= 1, f"{name}.lua has it {times} times: {text}"
            if times and text != READS_TIME:
                changed.add(name)
            source = source.replace(text, other)
        elsewhere = source.replace(READS_KEY, "").count('"TIME"')
        assert not elsewhere or name in _OF_REDIS, f"{name}.lua asks for the time elsewhere"
        digest = hashlib.sha1(source.encode()).hexdigest()  # noqa: S324 - Redis's names
        return replace(script, source=source, digest=digest)

    with patch.object(SCRIPTS, "load", loaded):
        yield changed
