"""Monitoring data over time: a sample every ten seconds, kept for an hour, and coarser ones for a day and a week.

A caretaker takes the samples. They are on the queue's Redis: losing them costs history, no credits. Each step has a
stream whose entry ids are the start times of their intervals, so there is never more than one sample per interval,
whichever caretaker takes it; an interval without a sample is a gap, never a zero. A coarser sample is condensed from
finer ones once its interval is over: the worst of each gauge, and the sum of each counter.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby, pairwise
from typing import Self, TypeVar

from redis.asyncio.client import Pipeline
from redis.exceptions import ResponseError, WatchError

from gateway.ledger.sums import Totals
from gateway.queue.keys import SERIES_LAST, series_key
from gateway.queue.queue import Depth, Queue
from gateway.queue.redis_calls import queue_errors

Key = TypeVar("Key")
_Waits = Mapping[str, Mapping[int, int]]

Outcome = tuple[str, str, str, str]
"""Tool, model, final state, error code or ""."""

_HOUR_MS = 3_600_000
SLACK_MS = 300_000
"""Samples are kept this much longer: a request for the last hour arrives later, and its clock may differ."""


@dataclass(frozen=True, slots=True)
class SeriesStep:
    """How far apart samples are, and how long they are kept."""

    ms: int
    kept_ms: int


STEPS = (SeriesStep(10_000, _HOUR_MS), SeriesStep(60_000, 24 * _HOUR_MS), SeriesStep(600_000, 7 * 24 * _HOUR_MS))
SAMPLE_MS = STEPS[0].ms
KEPT_MS = STEPS[-1].kept_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSample:
    """One tool's queue. Coarser samples have the maximum of each, and the minimum of `workers`."""

    depth: int
    waiting: int
    oldest_ms: int
    running: int
    workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The gauges in the interval that starts at `at`, and the counts since the previous sample.

    `ended` counts endings; `waits` counts, by tool, how long generations were queued before their first start (classes
    of `gateway.queue.wait_times`). None if the previous counts are unknown.
    """

    at: int
    tools: Mapping[str, ToolSample]
    open: int
    overdue: int
    held_millicredits: int
    ended: Mapping[Outcome, int] | None
    waits: Mapping[str, Mapping[int, int]] | None


@dataclass(frozen=True, slots=True)
class Past:
    """The samples from `first_at` on, one per step; None for a gap."""

    step_ms: int
    first_at: int
    samples: Sequence[Sample | None]


class Series:
    """Writes and reads samples. Times are by the queue's clock, in milliseconds. Raises QueueUnavailable."""

    def __init__(self, queue: Queue) -> None:
        self._queue, self._redis = queue, queue.redis

    async def add(self, now: int, totals: Totals, depths: Iterable[Depth]) -> Sample | None:
        """Take the sample of the interval that contains `now`; None if it, or a later one, already exists."""
        at = now - now % SAMPLE_MS
        depths = list(depths)
        waits = await self._queue.waits(depth.tool for depth in depths)
        with queue_errors():
            async with self._redis.pipeline(transaction=True) as pipe:
                await pipe.watch(SERIES_LAST)
                before = _Counted.decode(await pipe.get(SERIES_LAST))
                if before is not None and before.at >= at:
                    return None
                counted = _Counted(at, dict(totals.outcomes), waits)
                sample = _sample(at, totals, depths, *counted.since(before))
                pipe.multi()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
                _write(pipe, STEPS[0], sample)
                pipe.set(SERIES_LAST, counted.encode(), px=KEPT_MS)
                try:
                    await pipe.execute()
                except WatchError:  # another caretaker was faster
                    return None
        return sample

    async def condense(self, now: int) -> None:
        """Make the coarser samples of all finished intervals. They are made once, even by several caretakers."""
        with queue_errors():
            for finer, coarser in pairwise(STEPS):
                newest = await self._redis.xrevrange(series_key(coarser.ms), count=1)
                first = _at(newest[0]) + coarser.ms if newest else 0
                last = now - now % coarser.ms - 1
                if first > last:
                    continue
                for sample in condensed(await self._range(finer, first, last), coarser.ms):
                    async with self._redis.pipeline(transaction=False) as pipe:
                        _write(pipe, coarser, sample)
                        try:
                            await pipe.execute()
                        except ResponseError:
                            break  # another caretaker has made it, and the following ones

    async def read(self, first: int, last: int, now: int) -> Past:
        """The samples of the intervals from `first` to `last`, at the finest step that is kept that long."""
        step = next((step for step in STEPS if now - first <= step.kept_ms + SLACK_MS), STEPS[-1])
        first_at, last_at = (moment - moment % step.ms for moment in (first, min(last, now)))
        with queue_errors():
            found = {sample.at: sample for sample in await self._samples(STEPS.index(step), first_at, last)}
        slots = range(first_at, last_at + 1, step.ms)
        return Past(step.ms, first_at, [found.get(slot) for slot in slots])

    async def _samples(self, index: int, first: int, last: int) -> list[Sample]:
        """The samples of a step; those not made yet are condensed from finer ones."""
        step = STEPS[index]
        made = await self._range(step, first, last)
        if index == 0:
            return made
        rest = await self._samples(index - 1, made[-1].at + step.ms if made else first, last)
        return made + condensed(rest, step.ms)

    async def _range(self, step: SeriesStep, first: int, last: int) -> list[Sample]:
        entries = await self._redis.xrange(series_key(step.ms), first, last)
        return [_decode(_at(entry), entry[1][b"sample"]) for entry in entries]


def condensed(samples: Iterable[Sample], step_ms: int) -> list[Sample]:
    """Samples of a coarser step, from ordered finer ones."""
    return [_merged(at, list(group)) for at, group in groupby(samples, lambda one: one.at - one.at % step_ms)]


def _merged(at: int, samples: Sequence[Sample]) -> Sample:
    tools = {tool for sample in samples for tool in sample.tools}
    ended = [sample.ended for sample in samples if sample.ended is not None]
    waits = [sample.waits for sample in samples if sample.waits is not None]
    return Sample(
        at=at,
        tools={tool: _worst([sample.tools[tool] for sample in samples if tool in sample.tools]) for tool in tools},
        open=max(sample.open for sample in samples),
        overdue=max(sample.overdue for sample in samples),
        held_millicredits=max(sample.held_millicredits for sample in samples),
        ended=_sum(ended) if ended else None,
        waits={tool: _sum([one.get(tool, {}) for one in waits]) for tool in tools} if waits else None,
    )


def _worst(seen: Sequence[ToolSample]) -> ToolSample:
    return ToolSample(
        depth=max(one.depth for one in seen),
        waiting=max(one.waiting for one in seen),
        oldest_ms=max(one.oldest_ms for one in seen),
        running=max(one.running for one in seen),
        workers=min(one.workers for one in seen),
    )


def _sum(counts: Iterable[Mapping[Key, int]]) -> dict[Key, int]:
    total: Counter[Key] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)


@dataclass(frozen=True, slots=True)
class _Counted:
    """The total counts when a sample was taken; the next sample has the difference."""

    at: int
    ended: Mapping[Outcome, int]
    waits: Mapping[str, Mapping[int, int]]

    def since(self, before: _Counted | None) -> tuple[Mapping[Outcome, int] | None, _Waits | None]:
        """The increase since `before`; None if unknown: there was no count before, or it was reset."""
        if before is None:
            return None, None
        ended = _added(self.ended, before.ended)
        waits = {tool: _added(found, before.waits.get(tool, {})) for tool, found in self.waits.items()}
        known = {tool: found for tool, found in waits.items() if found is not None}
        return ended, known if len(known) == len(waits) else None

    def encode(self) -> str:
        record = {"at": self.at, "ended": _rows(self.ended), "waits": self.waits}
        return json.dumps(record, separators=(",", ":"))

    @classmethod
    def decode(cls, text: bytes | None) -> Self | None:
        if text is None:
            return None
        record = json.loads(text)
        waits = {tool: _numbered(found) for tool, found in record["waits"].items()}
        return cls(record["at"], _outcomes(record["ended"]), waits)


def _sample(
    at: int, totals: Totals, depths: Iterable[Depth], ended: Mapping[Outcome, int] | None, waits: _Waits | None
) -> Sample:
    tools = {
        depth.tool: ToolSample(
            depth=totals.queued.get(depth.tool, 0),
            waiting=totals.waiting.get(depth.tool, 0),
            oldest_ms=depth.oldest_ms or 0,
            running=totals.running.get(depth.tool, 0),
            workers=depth.workers,
        )
        for depth in depths
    }
    return Sample(
        at=at,
        tools=tools,
        open=totals.open,
        overdue=totals.overdue,
        held_millicredits=totals.held_millicredits,
        ended=ended,
        waits=waits,
    )


def _added(now: Mapping[Key, int], before: Mapping[Key, int]) -> dict[Key, int] | None:
    """The increase of each count; None if one has decreased, because it was reset."""
    if any(now.get(name, 0) < count for name, count in before.items()):
        return None
    return {name: count - before.get(name, 0) for name, count in now.items() if count != before.get(name, 0)}


def _write(pipe: Pipeline, step: SeriesStep, sample: Sample) -> None:
    """Add a sample to its stream and trim expired ones."""
    key, oldest = series_key(step.ms), sample.at - step.kept_ms - SLACK_MS
    pipe.xadd(key, {"sample": _encode(sample)}, id=f"{sample.at}-0", minid=max(0, oldest), approximate=False)
    pipe.pexpire(key, step.kept_ms + SLACK_MS)


def _encode(sample: Sample) -> str:
    """A sample as JSON (string keys), without its time, which is its id."""
    record = asdict(replace(sample, ended=None))
    record["ended"] = None if sample.ended is None else _rows(sample.ended)
    del record["at"]
    return json.dumps(record, separators=(",", ":"))


def _decode(at: int, text: bytes) -> Sample:
    record = json.loads(text)
    ended, waits = record["ended"], record["waits"]
    return Sample(
        at=at,
        tools={tool: ToolSample(**seen) for tool, seen in record["tools"].items()},
        open=record["open"],
        overdue=record["overdue"],
        held_millicredits=record["held_millicredits"],
        ended=None if ended is None else _outcomes(ended),
        waits=None if waits is None else {tool: _numbered(found) for tool, found in waits.items()},
    )


def _rows(ended: Mapping[Outcome, int]) -> list[list[str | int]]:
    return [[*outcome, count] for outcome, count in ended.items()]


def _outcomes(rows: Iterable[tuple[str, str, str, str, int]]) -> dict[Outcome, int]:
    return {(tool, model, state, code): count for tool, model, state, code, count in rows}


def _numbered(classes: Mapping[str, int]) -> dict[int, int]:
    return {int(class_): count for class_, count in classes.items()}


def _at(entry: tuple[bytes, Mapping[bytes, bytes]]) -> int:
    """When a stream entry's interval starts: the first half of its id."""
    return int(entry[0].split(b"-")[0])
