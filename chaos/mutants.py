"""Farebox with one line made wrong: a run that does not notice would prove nothing.

Each is a copy of `gateway/` and `workers/` with one piece of text replaced, which the processes of a run then import
instead of what is installed. The model's mutants (`tests/invariants/test_mutants.py`) are Lua in memory; these are what
only a whole system can show.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_PACKAGES = ("gateway", "workers")
_LUA = "gateway/ledger/lua"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One piece of `file` that is there exactly once; the actor that must meet it, and what a run must say then."""

    file: str
    was: str
    becomes: str
    only: str
    noticed: str


MUTANTS = {
    "an allotment is doubled": Mutant(
        f"{_LUA}/lib/steps.lua",
        "local amount = paid_for or tonumber(policy.terms(p, a.fields.plan).monthly)",
        "local amount = paid_for or 2 * tonumber(policy.terms(p, a.fields.plan).monthly)",
        "clocks",
        "too much, and",
    ),
    "a purchase that is paid again is granted again": Mutant(
        f"{_LUA}/pay.lua",
        'if f.status == "paid" then return {"paid", "0", checkouts.reply(c), accounts.view(a), {}} end\n',
        "",
        "purchases",
        "too much, and",
    ),
    "a revoked key is served by who has it cached": Mutant(
        f"{_LUA}/lib/accounts.lua",
        'return version ~= "" and version ~= (a.fields.keys_version or "0")',
        "return false",
        "revocation",
        "a revoked key was answered 200",
    ),
    "a quote gives way to the new card": Mutant(
        "gateway/api/ordering/ordering.py",
        "price = self._quote_tokens.open(body.quote, account, quote)\n",
        "self._quote_tokens.open(body.quote, account, quote)\n",
        "quotes",
        "was quoted",
    ),
    "free credits that come back after midnight are the plan's": Mutant(
        f"{_LUA}/lib/refunds.lua",
        "local bucket, worth = share.bucket,",
        'local bucket, worth = "s",',
        "clocks",
        "bucket f",
    ),
    "whoever comes back to a stream is not told the end": Mutant(
        "gateway/api/handlers/events.py",
        'await self._send(("snapshot", generation, whole), ("done", generation, whole))',
        'await self._send(("snapshot", generation, whole))',
        "events",
        "and its stream said",
    ),
    "an order's idempotency key is forgotten after a minute": Mutant(
        f"{_LUA}/reserve.lua",
        '" generation " .. id, "PX", 86400000)',
        '" generation " .. id, "PX", 60000)',
        "clocks",
        "and is to be kept 86400000 ms",
    ),
    "another provider is asked although the first may have the job": Mutant(
        "workers/attempts/state.py",
        "if not error.refused or self.ref is not None or self.in_doubt:",
        "if self.ref is not None:",
        "providers",
        "was begun while",
    ),
    "what is reported is charged twice": Mutant(
        "workers/attempts/reports.py",
        "return int((Decimal(str(value)) * MILLIONTHS)",
        "return 2 * int((Decimal(str(value)) * MILLIONTHS)",
        "providers",
        "by what was reported of it",
    ),
}
"""What is wrong → where. `tests/whole/test_chaos_mutants.py` runs each."""


def mutated(mutants: Iterable[Mutant], folder: Path) -> Path:
    """Copy Farebox into `folder` with these lines wrong; ValueError if one's text is not there exactly once."""
    for package in _PACKAGES:
        shutil.copytree(_ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for mutant in mutants:
        file = folder / mutant.file
        source = file.read_text()
        if source.count(mutant.was) != 1:
            raise ValueError(f"{mutant.file} has this text {source.count(mutant.was)} times, not once: {mutant.was}")
        file.write_text(source.replace(mutant.was, mutant.becomes))
    return folder
