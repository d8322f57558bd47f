"""A process goes by the ledger's clock, whatever its machine's says, and says how far they differ."""

from __future__ import annotations

import ast
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from itsdangerous import SignatureExpired, URLSafeTimedSerializer
from structlog.testing import capture_logs

import gateway
import workers
from gateway import clock as clock_module
from gateway.clock import AHEAD_MAX_SECONDS, LedgerClock, LedgerTimeSigner

LEDGER = 1_795_305_600.0
ASKS_THE_MACHINE = {
    "gateway/backup/take.py",  # when a backup was made, for whoever keeps it
    "gateway/clock.py",
    "gateway/startup/otlp_metrics.py",  # a collector wants the machine's time, as all its other sources send
    "gateway/startup/telemetry.py",
    "workers/attempts/generate.py",  # when a span began
    "workers/attempts/spans.py",
    "gateway/ledger/policy_of_card.py",  # which years' clock changes to look up
    "gateway/mcp/tools.py",  # runs on an assistant's machine: how far back to look for an equal call
    "workers/arq_worker.py",  # arq logs how late a job is; nothing else comes of it
    "workers/providers/calls.py",  # a provider's date against the machine's: how long to wait, at most
    "workers/providers/sandbox/provider.py",  # plays a provider, which has a clock of its own
    "gateway/outside/receivers.py",  # `datetime` of the ledger's seconds
}


def says(seconds: float) -> Callable[[], Awaitable[int]]:
    async def ask() -> int:
        return round(seconds * 1000)

    return ask


@pytest.mark.parametrize("off", [-7200, 7200])
async def test_a_machine_that_is_two_hours_off_goes_by_the_ledgers_time(
    monkeypatch: pytest.MonkeyPatch, off: float
) -> None:
    monkeypatch.setattr(clock_module, "local_seconds", lambda: LEDGER + off)
    clock = LedgerClock()
    assert (clock.seconds(), clock.difference_seconds, clock.problem) == (LEDGER + off, None, None), "its own, at first"
    with capture_logs() as lines:
        await clock.measure(says(LEDGER))
        await clock.measure(says(LEDGER))
    assert clock.seconds() == pytest.approx(LEDGER, abs=1)
    assert clock.difference_seconds == pytest.approx(off, abs=1)
    way = "ahead of" if off > 0 else "behind"
    assert clock.problem == f"this machine's clock is 7,200 s {way} the ledger's: check its time synchronization (NTP)"
    assert [line["event"] for line in lines] == ["CLOCK_DIFFERS"], "once, not at each measurement"
    (figure,) = clock.metrics()
    assert figure.samples[0].value == pytest.approx(off, abs=1)


async def test_a_corrected_clock_is_no_longer_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_module, "local_seconds", lambda: LEDGER - 60)
    clock = LedgerClock()
    with capture_logs() as lines:
        await clock.measure(says(LEDGER))
        monkeypatch.setattr(clock_module, "local_seconds", lambda: LEDGER + 0.1)
        await clock.measure(says(LEDGER))
    assert clock.problem is None
    assert [line["event"] for line in lines] == ["CLOCK_DIFFERS", "clock_in_sync"]


async def test_a_slow_answer_is_no_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_module, "_ROUND_TRIP_MAX_SECONDS", -1.0)
    clock = LedgerClock()
    await clock.measure(says(LEDGER))
    assert clock.difference_seconds is None


def test_only_the_clock_module_reads_the_machines_time() -> None:
    """A worker whose clock was two hours behind took nothing for ever: it looked up what was due by its own."""
    found = set()
    for package in (gateway, workers):
        root = Path(package.__file__ or "").parent
        for path in root.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                reads = isinstance(node, ast.Attribute) and node.attr in {"time", "time_ns", "now", "utcnow"}
                if reads and ast.unparse(node) in {
                    "time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.datetime.now",
                }:  # fmt: skip
                    found.add(path.relative_to(root.parent).as_posix())
    assert found <= ASKS_THE_MACHINE


def signed_at(monkeypatch: pytest.MonkeyPatch, seconds: float) -> str:
    monkeypatch.setattr(clock_module, "now_seconds", lambda: seconds)
    return str(tokens().dumps("what was signed"))


def tokens() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer("a secret", signer=LedgerTimeSigner)


@pytest.mark.parametrize("ahead", [0.0, 0.1, AHEAD_MAX_SECONDS])
def test_what_another_gateway_has_just_signed_is_in_force(monkeypatch: pytest.MonkeyPatch, ahead: float) -> None:
    """`make chaos` found it: a purchase's page answered 404 on a gateway whose measurement was 0.1 s behind."""
    now = LEDGER - 0.05  # a tenth of a second ahead it is the next second
    token = signed_at(monkeypatch, now + ahead)
    monkeypatch.setattr(clock_module, "now_seconds", lambda: now)
    assert tokens().loads(token, max_age=600) == "what was signed"


@pytest.mark.parametrize("later", [-AHEAD_MAX_SECONDS - 1, 601])
def test_what_is_too_old_or_from_the_future_is_not(monkeypatch: pytest.MonkeyPatch, later: float) -> None:
    token = signed_at(monkeypatch, LEDGER)
    monkeypatch.setattr(clock_module, "now_seconds", lambda: LEDGER + later)
    with pytest.raises(SignatureExpired):
        tokens().loads(token, max_age=600)
    assert tokens().loads(token) == "what was signed"
