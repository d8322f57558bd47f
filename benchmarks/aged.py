"""A create after 10 million generations beside one after the first hour: what grows without bound would show.

    make bench ONLY=aged                              200,000 generations
    make bench ONLY=aged AGED_GENERATIONS=10000000    ten million, as docs/performance.md has them
    ... AGED_FOLDER=/dev/shm/aged                     keep the files there; the next call goes on where this one ended

450 days on a clock of ours (`moved_clock.py`), so that all that is kept for 30, 40, 400 and 402 days has expired: each
hour its share of the lives (`traffic.py`), each day accounts that join, others that are used for the last time, and
outputs that are deleted, each month the caretaker's trimming. After each tenth a copy of the ledger as it was after the
first hour is started, and both live the same two hours in alternating rounds: every account's first life there is not
timed, the second is. The aged ledger does so twice, for accounts with a past and for others that have just joined: they
tell what is due to an account's age from what is due to the ledger's size. Redis itself times each script; of an hour
the median counts, which other programs on the machine move least.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.bench import Bench
from benchmarks.creates import Stack, loaded, pid_of
from benchmarks.http_calls import post_of
from benchmarks.moved_clock import MISSING, compiler
from benchmarks.moved_ledger import MovedLedger, kinds_of_lives, opened
from benchmarks.page import FOLDER
from benchmarks.plot import Plot
from benchmarks.recorded import packed
from benchmarks.result import Result, at_most
from benchmarks.servers import durable_redis, gateway_at
from benchmarks.traffic import Traffic, join, recorded_traffic
from gateway.clock import CLOCK
from gateway.ledger.audit import audit
from gateway.ledger.ledger import Ledger
from gateway.ledger.trimming import trim_all

GENERATIONS = 200_000
GENERATIONS_QUICK = 3000
DAYS = 450
POINTS = 10
ROUNDS = 3  # at each point
ROUNDS_LAST, ROUNDS_LAST_QUICK = 9, 3
_TEN_MILLION = 10_000_000
_HOUR, _DAY = 3600, 86_400
_SECONDS = 3  # of creates, each round
_LIVES_LEAST = 250  # each time the clock is moved
_MEASURED = 1000  # accounts, each round
_CREATING_LEAST = 500  # accounts, a third of them with a plan: a key may create 600 times a minute
_NEWCOMERS = 60_000_000  # the number of the first; a multiple of three, as every third account has a plan
_JOINED_AT_ONCE = 200
_TRIMMED_EACH = 30  # days
_REWRITTEN_EACH = 30  # days
_DIFFERENCES_SHOWN = 5
_LINES = {"aged": "after so many", "newcomers": "accounts without a past", "young": "after the first hour"}


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything there is."""

    generations: int

    @property
    def active(self) -> int:
        """Accounts that are used at a time: 2,000 of ten million generations, each eleven times a day."""
        return max(100, 2000 * self.generations // _TEN_MILLION)

    @property
    def joining(self) -> int:
        """Accounts that join each day; as many others are used for the first time, and for the last."""
        return self.active // 50

    @property
    def first(self) -> int:
        """Accounts that there are from the beginning."""
        return 5 * self.active

    @property
    def step_hours(self) -> int:
        """How far the clock is moved at a time: one hour, or a day where an hour has too few lives."""
        return 1 if self.generations // (DAYS * 24) >= _LIVES_LEAST else 24

    @property
    def steps(self) -> int:
        """How often it is moved."""
        return DAYS * 24 // self.step_hours

    @property
    def in_an_hour(self) -> int:
        """Lives."""
        return self.generations // (DAYS * 24) + 1


@dataclass(slots=True)
class Progress:
    """How far a run has come, in a file beside the ledgers' own."""

    generations: int
    began_at: int
    """The first midnight of the moved clock, in seconds."""
    step: int = 0
    seconds: float = 0.0
    points: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path, generations: int) -> Progress:
        """What is noted in the folder, or the beginning. SystemExit if another number of generations was asked for."""
        noted = folder / "progress.json"
        if not noted.exists():
            return cls(generations, (int(time.time()) // _DAY + 1) * _DAY)
        progress = cls(**json.loads(noted.read_text()))
        if progress.generations != generations:
            raise SystemExit(
                f"AGED_FOLDER={folder} has a run of AGED_GENERATIONS={progress.generations}: "
                "ask for as many, or use an empty folder"
            )
        return progress

    def note(self, folder: Path) -> None:
        """Write it down."""
        new = folder / "progress.new"
        new.write_text(json.dumps(asdict(self)))
        new.replace(folder / "progress.json")


async def measure(bench: Bench) -> Sequence[Result]:
    """Live through it, and compare its last hour with its first."""
    if compiler() is None:
        return [Result(what="aged", figures=[0.0], unit="µs", target=None, note=MISSING)]
    generations = int(os.environ.get("AGED_GENERATIONS", "0")) or bench.size(GENERATIONS, GENERATIONS_QUICK)
    with durable_redis() as redis_socket:
        traffic = await recorded_traffic(redis_socket)
    with _folder() as folder:
        return await _Run(bench, Size(generations), folder, traffic).results()


class _Run:
    """One run, from where its folder's progress stands to its end."""

    def __init__(self, bench: Bench, size: Size, folder: Path, traffic: Traffic) -> None:
        """Read the folder's progress; nothing is started yet."""
        self._bench, self._size, self._folder, self._traffic = bench, size, folder, traffic
        self._progress = Progress.of(folder, size.generations)

    async def results(self) -> list[Result]:
        """Live through what is left, measure, count and audit."""
        young, old = self._folder / "young", self._folder / "aged"
        if self._progress.step == 0:  # what an interrupted beginning has left is not whole
            for begun in (young, old):
                shutil.rmtree(begun, ignore_errors=True)
            young.mkdir()
            await self._first_hour(young)
            shutil.copytree(young, old, ignore=shutil.ignore_patterns("*.sock"))
        async with opened(old, self._time(self._progress.step), self._traffic) as aged:
            await self._fill(aged)
            last = await self._point(
                aged, DAYS, self._bench.size(ROUNDS_LAST, ROUNDS_LAST_QUICK), self._size.generations
            )
            self._bench.say("counting keys")
            last["keys"] = await aged.keys()
            self._note()
            self._bench.say("auditing")
            await CLOCK.measure(aged.ledger.time)
            report = await audit(aged.ledger, rest=0)
            last["creates"] = await self._creates(aged)
        differences = [*map(str, report.differences), *report.unproved]
        last["audit"] = {
            "accounts": report.accounts, "entries": report.entries, "generations": report.generations,
            "differences": differences[:_DIFFERENCES_SHOWN],
        }  # fmt: skip
        self._note()
        self._draw()
        return list(_results(self._size, last, differences))

    async def _first_hour(self, young: Path) -> None:
        async with opened(young, self._time(0), self._traffic) as side:
            self._bench.say(f"{self._size.first:,} accounts join")
            await _join(side.ledger, range(self._size.first))
            await side.live(Random(0), self._size.active, self._size.in_an_hour)

    async def _fill(self, aged: MovedLedger) -> None:
        size, progress = self._size, self._progress
        lived = max(size.generations * progress.step // size.steps, size.in_an_hour)
        for step in range(progress.step, size.steps):
            began = time.monotonic()
            day, hour = divmod(step * size.step_hours, 24)
            aged.turn(self._time(step))
            aged.first = day * size.joining
            if hour == 0 and day > 0:
                await self._begin_day(aged, day, lived)
            until = size.generations * (step + 1) // size.steps
            await aged.live(Random(step), size.active, until - lived)
            lived = max(lived, until)
            progress.step = step + 1
            progress.seconds += time.monotonic() - began
            progress.note(self._folder)

    async def _begin_day(self, aged: MovedLedger, day: int, lived: int) -> None:
        """What caretakers do, who joins, and at each tenth the comparison."""
        size = self._size
        self._bench.say(f"day {day} of {DAYS}: {lived:,} of {size.generations:,} generations")
        joined = size.first + (day - 1) * size.joining
        await _join(aged.ledger, range(joined, joined + size.joining))
        await aged.delete_outputs()
        if day % _TRIMMED_EACH == 0:
            await trim_all(aged.ledger, rest=0)
        if day % (DAYS // POINTS) == 0 and not self._bench.quick:
            await self._point(aged, day, ROUNDS, lived)
        if day % _REWRITTEN_EACH == 0:
            await aged.raw.send(packed([[b"BGREWRITEAOF"]]), 1)

    async def _point(self, aged: MovedLedger, day: int, rounds: int, lived: int) -> dict[str, Any]:
        """Both ledgers at one o'clock, the same hours in turn; what was measured, which is noted too."""
        size = self._size
        if day == DAYS:
            aged.turn(self._time(size.steps))
            aged.first = (DAYS - 1) * size.joining
            await aged.delete_outputs()
            await trim_all(aged.ledger, rest=0)
        found: list[dict[str, Any]] = []
        async with self._young() as young:
            for side in (young, aged):
                await side.set("appendfsync", "always")
                side.turn((side.at // _DAY) * _DAY + _HOUR)
            newcomers = _NEWCOMERS + day * size.active
            await _join(aged.ledger, range(newcomers, newcomers + size.active))
            turns = (("young", young, 0), ("aged", aged, aged.first), ("newcomers", aged, newcomers))
            for number in range(rounds):
                self._bench.say(f"day {day} of {DAYS}: round {number + 1} of {rounds}")
                dice = Random(number)
                offsets = dice.sample(range(size.active), min(size.active, _MEASURED))
                kinds = kinds_of_lives(dice, len(offsets))
                again = dice.sample(offsets, len(offsets))
                measured = {}
                for name, side, first in turns[:: 1 if number % 2 else -1]:
                    side.first = first
                    await side.use(offsets, kinds)
                    side.turn(side.at + 2 * 60)  # the use of a key is noted once a minute
                    measured[name] = await side.timed(again, kinds)
                    side.turn(side.at + 2 * 60)
                found.append(measured)
            aged.first = turns[1][2]
        await aged.set("appendfsync", "no")
        memory = await aged.ledger.redis.info("memory")
        point = {
            "day": day, "generations": lived, "rounds": found, "dataset": memory["used_memory_dataset"],
            "used_memory": memory["used_memory"], "key_count": await aged.ledger.redis.dbsize(),
        }  # fmt: skip
        points = [earlier for earlier in self._progress.points if earlier["day"] != day]  # of a run that ended then
        self._progress.points = [*points, point]
        self._note()
        return point

    async def _creates(self, aged: MovedLedger) -> list[dict[str, dict[str, float]]]:
        """The CPU time of a create at a gateway of either ledger, in rounds. Nobody works on what is created."""
        found = []
        async with self._young() as young:
            with ExitStack() as running:
                loads = {}
                for name, side in (("young", young), ("aged", aged)):
                    await side.set("appendfsync", "always")
                    gateway = running.enter_context(gateway_at(side.server.socket))
                    stack = Stack(gateway.port, [gateway.pid], await pid_of(side.server.socket))
                    accounts = side.with_a_plan(max(self._size.active, _CREATING_LEAST))
                    loads[name] = stack, [post_of(account) for account in accounts]
                for number in range(self._bench.size(ROUNDS_LAST, ROUNDS_LAST_QUICK)):
                    self._bench.say(f"creates, round {number + 1}")
                    turns = list(loads.items())[:: 1 if number % 2 else -1]
                    found.append({name: asdict(await loaded(*load, _SECONDS)) for name, load in turns})
        return found

    @asynccontextmanager
    async def _young(self) -> AsyncIterator[MovedLedger]:
        """A copy of the ledger as it was after the first hour."""
        copied = self._folder / "copied"
        shutil.rmtree(copied, ignore_errors=True)
        shutil.copytree(self._folder / "young", copied, ignore=shutil.ignore_patterns("*.sock"))
        async with opened(copied, self._time(0) + _HOUR, self._traffic) as young:
            yield young
        shutil.rmtree(copied)

    def _time(self, step: int) -> float:
        return self._progress.began_at + step * self._size.step_hours * _HOUR

    def _note(self) -> None:
        """Write down what was measured so far, for the folder and beside the page."""
        self._progress.note(self._folder)
        FOLDER.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self._folder / "progress.json", FOLDER / "aged.json")

    def _draw(self) -> None:
        points = self._progress.points
        measured = points[0]["rounds"][0]  # a folder may have been begun by a version that measured less
        lines = {name: [_median(one, side) for one in points] for side, name in _LINES.items() if side in measured}
        sizes = [point["generations"] for point in points]
        self._bench.draw(Plot("reserve, µs", "generations finished", sizes, lines))


def _median(point: dict[str, Any], side: str) -> float:
    return statistics.median(float(one[side]["reserve"]["p50"]) for one in point["rounds"])


def _results(size: Size, last: dict[str, Any], differences: Sequence[str]) -> Iterator[Result]:
    rounds = last["rounds"]
    kinds = sorted(last["keys"].items(), key=lambda kind: -kind[1]["bytes"])
    for what, part, target in (
        (f"create after {size.generations:,} generations, CPU", ("server", "database"), at_most(1.1)),
        ("of it the ledger's", ("database",), None),
    ):
        yield Result(
            what=what,
            figures=[sum(one["aged"][name] for name in part) for one in last["creates"]],
            floors=[sum(one["young"][name] for name in part) for one in last["creates"]],
            floor="after the first hour", unit="µs", target=target,
        )  # fmt: skip
    after = f"after {size.generations:,} generations"
    for what, side, scripts in (
        (f"reserve {after}", "aged", ("reserve",)),
        ("reserve for accounts without a past, there", "newcomers", ("reserve",)),
        (f"begin, deliver, settle {after}", "aged", ("begin", "deliver", "settle")),
    ):
        yield Result(
            what=what,
            figures=[sum(one[side][script]["p50"] for script in scripts) for one in rounds],
            floors=[sum(one["young"][script]["p50"] for script in scripts) for one in rounds],
            floor="after the first hour", unit="µs", target=None,
        )  # fmt: skip
    yield Result(
        what="their memory", figures=[last["used_memory"] / 1e6], unit="MB", target=None,
        note="; ".join(f"{kind}: {one['keys']:,} keys, {one['bytes'] / 1e6:,.0f} MB" for kind, one in kinds),
    )  # fmt: skip
    checked = last["audit"]
    yield Result(
        what="differences in their audit", figures=[len(differences)], unit="", target=at_most(0),
        note="; ".join(differences[:_DIFFERENCES_SHOWN]) or (
            f"it checked {checked['accounts']:,} accounts, {checked['entries']:,} entries and "
            f"{checked['generations']:,} generations"
        ),
    )  # fmt: skip


async def _join(ledger: Ledger, numbers: Sequence[int]) -> None:
    for first in range(0, len(numbers), _JOINED_AT_ONCE):
        await asyncio.gather(*(join(ledger, number) for number in numbers[first : first + _JOINED_AT_ONCE]))


@contextmanager
def _folder() -> Iterator[Path]:
    """The folder that was asked for, or one that is removed."""
    asked = os.environ.get("AGED_FOLDER", "")
    if asked:
        Path(asked).mkdir(parents=True, exist_ok=True)
        yield Path(asked)
        return
    with TemporaryDirectory(prefix="farebox-bench-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
