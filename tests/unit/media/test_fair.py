"""Whose files are looked into next: by the order in which inspections begin and end, not by how long they take."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import MediaUnreadable
from gateway.media import FairInspections, TimeUsedUp, fair
from tests.until import until_idle


class Clock:
    """The time by which inspections are measured."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


class Inspections:
    """Inspections that go on until they are told to end, and the order in which they began."""

    def __init__(self, fair_inspections: FairInspections) -> None:
        self.begun: list[str] = []
        self._fair = fair_inspections
        self._ends: dict[str, asyncio.Event] = {}

    def ask(self, account: str, name: str = "") -> asyncio.Task[str]:
        name = name or account
        self._ends[name] = asyncio.Event()

        async def inspect() -> str:
            self.begun.append(name)
            await self._ends[name].wait()
            return name

        return asyncio.create_task(self._fair.inspect(account, inspect))

    def end(self, name: str) -> None:
        self._ends[name].set()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(fair, "now", clock)
    return clock


@pytest.fixture
def inspections() -> Inspections:
    return Inspections(FairInspections(at_once=2, of_one=1, seconds_a_minute=20, refuses=False))


@pytest.fixture
def never_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fair, "QUICK_SECONDS", 600.0)


@pytest.fixture
def slow_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fair, "QUICK_SECONDS", 0.0)


@pytest.mark.usefixtures("clock", "never_slow")
async def test_one_account_has_never_all_readers(inspections: Inspections) -> None:
    mine = [inspections.ask("a", f"a{number}") for number in range(3)]
    await until_idle()
    assert inspections.begun == ["a0"]
    other = inspections.ask("b")
    await until_idle()
    assert inspections.begun == ["a0", "b"]
    for number in range(3):
        inspections.end(f"a{number}")
    inspections.end("b")
    assert await asyncio.gather(*mine, other) == ["a0", "a1", "a2", "b"]


@pytest.mark.usefixtures("never_slow")
async def test_accounts_take_turns(inspections: Inspections, clock: Clock) -> None:
    """In the order of coming the four of the first account would have been before all others but one."""
    asked = [inspections.ask(name[0], name) for name in ("a1", "b1", "a2", "a3", "a4", "b2", "c1", "c2", "d1")]
    expected = ["a1", "b1", "c1", "d1", "a2", "b2", "c2", "a3", "a4"]
    for name in expected:
        await until_idle()
        clock.seconds += 0.01
        inspections.end(name)
    await asyncio.gather(*asked)
    assert inspections.begun == expected


@pytest.mark.usefixtures("never_slow")
async def test_the_account_that_has_used_the_least_time_is_next(inspections: Inspections, clock: Clock) -> None:
    used = inspections.ask("much")
    await until_idle()
    clock.seconds += 15
    inspections.end("much")
    await used
    going_on = [inspections.ask("x"), inspections.ask("y")]
    await until_idle()
    asked = [inspections.ask("much", "much again"), inspections.ask("new")]
    await until_idle()
    inspections.end("x")
    await until_idle()
    assert inspections.begun == ["much", "x", "y", "new"]
    for name in ("y", "new", "much again"):
        inspections.end(name)
    await asyncio.gather(*going_on, *asked)


@pytest.mark.usefixtures("clock", "slow_at_once")
async def test_inspections_that_take_long_leave_a_reader_to_the_others(inspections: Inspections) -> None:
    """Both readers were held for as long as two files took, and others waited."""
    long = [inspections.ask("a"), inspections.ask("b")]
    await until_idle()
    ended = [inspections.ask("c"), inspections.ask("d")]
    inspections.end("c")
    inspections.end("d")
    assert await asyncio.gather(*ended) == ["c", "d"]
    assert not any(one.done() for one in long)
    assert inspections.begun[:2] == ["a", "b"]
    inspections.end("a")
    assert await long[0] == "a"
    inspections.end("b")
    assert await long[1] == "b"
    assert inspections.begun == ["a", "b", "c", "d", "b"], "b was broken off, and began again where a was"


@pytest.mark.usefixtures("clock", "never_slow")
async def test_hanging_up_frees_the_reader_and_the_place_in_the_queue(inspections: Inspections) -> None:
    going_on, waiting = [inspections.ask("a"), inspections.ask("b")], inspections.ask("c")
    await until_idle()
    waiting.cancel()
    going_on[0].cancel()
    last = inspections.ask("d")
    await until_idle()
    assert inspections.begun == ["a", "b", "d"]
    inspections.end("b")
    inspections.end("d")
    await asyncio.gather(going_on[1], last)


async def test_a_minutes_worth_may_be_used_and_is_given_back_evenly(clock: Clock) -> None:
    inspections = FairInspections(at_once=2, of_one=1, seconds_a_minute=20, refuses=True)

    async def refused_after(seconds: float) -> None:
        clock.seconds += seconds
        raise MediaUnreadable("is damaged")

    for _ in range(2):
        with pytest.raises(MediaUnreadable):
            await inspections.inspect("a", lambda: refused_after(12))
    with pytest.raises(TimeUsedUp) as limited:  # 24 were used and 4 given back in the second 12 seconds: 20 are left
        await inspections.inspect("a", lambda: refused_after(1))
    assert limited.value.retry_after_seconds == pytest.approx(0.0)
    with pytest.raises(MediaUnreadable):
        await inspections.inspect("b", lambda: refused_after(0))
    clock.seconds += 30
    with pytest.raises(MediaUnreadable):
        await inspections.inspect("a", lambda: refused_after(20))
    with pytest.raises(TimeUsedUp) as limited:
        await inspections.inspect("a", lambda: refused_after(1))
    assert limited.value.retry_after_seconds == pytest.approx(10 * 3 - 20)


async def test_who_is_not_refused_only_waits(clock: Clock) -> None:
    """A provider's outputs are paid for: they are looked into, however long the account's others took."""
    inspections = FairInspections(at_once=2, of_one=1, seconds_a_minute=20, refuses=False)

    async def long() -> None:
        clock.seconds += 500

    for _ in range(3):
        await inspections.inspect("a", long)
