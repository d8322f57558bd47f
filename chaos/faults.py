"""The faults, one small function for each kind. What repairs what is in `docs/reliability.md`."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.exceptions import RedisError

from chaos.away import taken_away
from chaos.box import Box
from chaos.cast import Cast
from chaos.checks import Checks
from chaos.disk import Disk
from chaos.full_memory import fill_memory
from chaos.lines import Answers
from chaos.load import Load
from chaos.processes import (
    CARETAKERS,
    EVERYTHING,
    FAREBOX,
    GATEWAYS,
    IMAGE_WORKERS,
    LEASE_SECONDS,
    LEDGER,
    QUEUE,
    REDIS,
    WORKERS,
    AttemptName,
    Processes,
)
from chaos.receiver import Receiver
from gateway.domain import FINAL_STATES
from gateway.errors import LedgerUnavailable
from gateway.ledger.outcomes import Generation

# Long enough for a lease to lapse, for a caretaker to have seen the ledger answer for a whole lease, and for the next
# attempt to begin.
LONGER_THAN_A_LEASE_SECONDS = 2.5 * LEASE_SECONDS + 1
_BUSY_SECONDS, _BUSY_ATTEMPTS = 120, 2
_SPOIL_SECONDS = (0.5, 2.0)
_OUTAGE_SECONDS = (0.5, 7.0)  # shorter and longer than the five seconds after which a client gives up on Redis
_AWAY_SECONDS = (2.0, 12.0)
_STORE_AWAY_SECONDS = (2.0, 5.0)
_REPLACED_SECONDS = 120
_FULL_SECONDS = (2.0, 6.0)  # the first retry comes after two seconds: into the full disk, or after it


@dataclass(slots=True)
class Scene:
    """What a fault has in its hands."""

    processes: Processes
    load: Load
    cast: Cast
    checks: Checks
    outputs: Disk
    ledger_disk: Disk
    boxes: tuple[Box, Box]
    """The provider that misbehaves, and the one behind it."""
    receiver: Receiver
    dice: random.Random
    started_ms: int = field(default_factory=lambda: round(time.time() * 1000))
    problems: list[str] = field(default_factory=list)
    audits: Counter[str] = field(default_factory=Counter)
    """Audits of the live ledger during the faults, by how they ended."""
    replaced: Counter[str] = field(default_factory=Counter)
    """Processes that were replaced by another version's → how many generations were open then."""
    frozen: dict[AttemptName, set[str]] = field(default_factory=dict)
    """An attempt that was overtaken while its worker could not speak → the objects it had delivered by then."""


Strike = Callable[[Scene], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault. One that is `alone` waits for the others to be over."""

    name: str
    strike: Strike
    alone: bool = False


def _kill(names: Sequence[str]) -> Strike:
    async def strike(scene: Scene) -> None:
        name = scene.dice.choice(names)
        await scene.processes.running(name)
        scene.processes.signal(name, signal.SIGKILL)

    return strike


def _freeze(names: Sequence[str], seconds: tuple[float, float]) -> Strike:
    """SIGSTOP, then SIGCONT: the process finds a world that went on without it."""

    async def strike(scene: Scene) -> None:
        name, duration = scene.dice.choice(names), scene.dice.uniform(*seconds)
        await scene.processes.running(name)
        scene.processes.signal(name, signal.SIGSTOP)
        try:
            await asyncio.sleep(duration)
        finally:
            scene.processes.signal(name, signal.SIGCONT)

    return strike


async def _freeze_worker(scene: Scene) -> None:
    """Freeze a worker in the middle of its work until others have taken it over; awake, nothing it says may count."""
    name = await _busy_worker(scene)
    scene.processes.signal(name, signal.SIGSTOP)
    try:
        await asyncio.sleep(LONGER_THAN_A_LEASE_SECONDS)
        await _remember_overtaken(scene, name)
    finally:
        scene.processes.signal(name, signal.SIGCONT)


async def _hold_worker(scene: Scene) -> None:
    """Hold back all that a working worker says to the ledger; its results arrive when others have taken over."""
    name = await _busy_worker(scene)
    line = scene.processes.lines[name, LEDGER]
    line.hold()
    try:
        await asyncio.sleep(LONGER_THAN_A_LEASE_SECONDS)
        await _remember_overtaken(scene, name)
    finally:
        line.restore()


async def _cut_connections(scene: Scene) -> None:
    """Reset all connections of some processes to Redis."""
    for name in scene.dice.sample(FAREBOX, 4):
        for role in REDIS:
            scene.processes.lines[name, role].cut()


def _spoil_answers(how: Answers) -> Strike:
    """Cut connections after the command was sent: the script runs, its answer is lost, whole or by half."""

    async def strike(scene: Scene) -> None:
        lines = [scene.processes.lines[name, role] for name in scene.dice.sample(FAREBOX, 5) for role in REDIS]
        for line in lines:
            line.answers = how
        try:
            await asyncio.sleep(scene.dice.uniform(*_SPOIL_SECONDS))
        finally:
            for line in lines:
                line.restore()

    return strike


async def _hold_connections(scene: Scene) -> None:
    """Hold all that a few processes say to Redis and hear from it: a network that stands still."""
    names = scene.dice.sample(FAREBOX, 3)
    lines = [scene.processes.lines[name, role] for name in names for role in REDIS]
    for line in lines:
        line.hold()
    try:
        await asyncio.sleep(scene.dice.uniform(*_OUTAGE_SECONDS))
    finally:
        for line in lines:
            line.restore()


async def _empty_queue(scene: Scene) -> None:
    """Lose all data of the queue's Redis: the ledger knows what is queued, and the caretakers dispatch it again."""
    async with scene.processes.redis(QUEUE) as redis:
        try:
            await redis.flushall()
        except (RedisError, OSError):  # it was killed or frozen just now: then when it answers
            await scene.processes.answers(QUEUE)
            await redis.flushall()


def _fill_disk(which: Callable[[Scene], Disk]) -> Strike:
    """Leave no room: outputs wait for some, with their attempts; the ledger's Redis cannot go on at all."""

    async def strike(scene: Scene) -> None:
        disk, until = which(scene), asyncio.get_running_loop().time() + scene.dice.uniform(*_FULL_SECONDS)
        try:
            while asyncio.get_running_loop().time() < until:
                await asyncio.to_thread(disk.fill)
                await asyncio.sleep(0.5)
        finally:
            disk.free()

    return strike


async def _upgrade(scene: Scene) -> None:
    """Replace every process by a new one, one after the other, as a rolling upgrade does: nobody is to notice."""
    for name in (*CARETAKERS, *WORKERS, *GATEWAYS):
        old = await scene.processes.running(name)
        scene.processes.signal(name, signal.SIGTERM)
        try:
            async with asyncio.timeout(_REPLACED_SECONDS):
                await scene.processes.replaced(name, old)
                if name in GATEWAYS:
                    await scene.load.is_ready(scene.processes.addresses[GATEWAYS.index(name)])
        except TimeoutError:
            scene.problems.append(f"{name} was not replaced within {_REPLACED_SECONDS} s")
        scene.checks.seen["processes replaced by an upgrade"] += 1


async def _take_provider_away(scene: Scene) -> None:
    """Have the provider out of reach, calls on their way included; its jobs go on, and nobody hears of them."""
    await scene.boxes[0].away(scene.dice.uniform(*_AWAY_SECONDS))


async def _take_store_away(scene: Scene) -> None:
    """Have no object store: outputs wait for it with their attempts, and nothing fails."""
    with taken_away(scene.outputs.directory / "store"):
        await asyncio.sleep(scene.dice.uniform(*_STORE_AWAY_SECONDS))


async def _take_receiver_away(scene: Scene) -> None:
    """Have nobody there to be told of events."""
    await scene.receiver.away(scene.dice.uniform(*_AWAY_SECONDS))


async def _cut_power(scene: Scene) -> None:
    """Kill everything at once."""
    for name in EVERYTHING:
        scene.processes.signal(name, signal.SIGKILL)


async def _fill_ledger(scene: Scene) -> None:
    scene.problems += await fill_memory(scene.processes, scene.load, (LEDGER,))


async def _fill_both(scene: Scene) -> None:
    scene.problems += await fill_memory(scene.processes, scene.load, REDIS)


_LEASES = (LONGER_THAN_A_LEASE_SECONDS, LONGER_THAN_A_LEASE_SECONDS + LEASE_SECONDS)

FAULTS = (
    Fault("kill -9 a gateway", _kill(GATEWAYS)),
    Fault("kill -9 a worker", _kill(WORKERS)),
    Fault("kill -9 a caretaker", _kill(CARETAKERS)),
    Fault("kill -9 the ledger's Redis", _kill((LEDGER,))),
    Fault("kill -9 the queue's Redis", _kill((QUEUE,))),
    Fault("kill -9 everything at once", _cut_power),
    Fault("queue's Redis loses its data", _empty_queue),
    Fault("SIGSTOP a gateway", _freeze(GATEWAYS, _OUTAGE_SECONDS)),
    Fault("SIGSTOP a worker past its lease", _freeze_worker, alone=True),
    Fault("SIGSTOP a caretaker", _freeze(CARETAKERS, _LEASES)),
    Fault("SIGSTOP the ledger's Redis", _freeze((LEDGER,), _LEASES)),
    Fault("SIGSTOP the queue's Redis", _freeze((QUEUE,), _OUTAGE_SECONDS)),
    Fault("connections cut", _cut_connections),
    Fault("answers lost after the command ran", _spoil_answers(Answers.LOST)),
    Fault("answers cut in the middle", _spoil_answers(Answers.HALF)),
    Fault("connections stand still", _hold_connections),
    Fault("a worker's words held past its lease", _hold_worker, alone=True),
    Fault("provider out of reach", _take_provider_away),
    Fault("webhook receiver out of reach", _take_receiver_away),
    Fault("object store away", _take_store_away),
    Fault("outputs' disk full", _fill_disk(lambda scene: scene.outputs)),
    Fault("ledger's disk full", _fill_disk(lambda scene: scene.ledger_disk)),
    Fault("every process replaced, one by one", _upgrade),
    Fault("ledger's memory full", _fill_ledger, alone=True),
    Fault("both Redis' memory full", _fill_both, alone=True),
)


_QUICK = {
    "object store away",
    "kill -9 a worker",
    "kill -9 a caretaker",
    "kill -9 the queue's Redis",
    "SIGSTOP a gateway",
    "every process replaced, one by one",
}
QUICK = tuple(fault for fault in FAULTS if fault.name in _QUICK)
"""Those of a short run: over in seconds, and so is what they leave behind. A gateway's request that is cut off in its
middle is claimed for a minute, a job that the queue has lost is dispatched again after one."""


async def _busy_worker(scene: Scene) -> str:
    """An image worker with attempts in work; RuntimeError if none has any for a long time: then something is broken."""
    said, loop = scene.processes.said, asyncio.get_running_loop()
    give_up = loop.time() + _BUSY_SECONDS
    while loop.time() < give_up:
        for name in scene.dice.sample(IMAGE_WORKERS, 2):
            if scene.processes.process(name) is not None and len(said.unfinished(name)) >= _BUSY_ATTEMPTS:
                return name
        await asyncio.sleep(0.02)
    raise RuntimeError(f"no image worker had anything to do for {_BUSY_SECONDS} s")


async def _remember_overtaken(scene: Scene, name: str) -> None:
    """Note what the attempts of a silent worker had delivered, of those that others have taken over meanwhile."""
    for generation, attempt in scene.processes.said.unfinished(name):
        found = await read_generation(scene.processes, generation)
        if found is not None and (found.attempt > attempt or found.state in FINAL_STATES):
            scene.frozen[generation, attempt] = delivered_by(found, attempt)


async def read_generation(processes: Processes, generation: str) -> Generation | None:
    """A generation as the ledger has it, as soon as the ledger answers; None if there is none."""
    while True:
        try:
            found = await processes.ledger.generation(generation=generation)
        except LedgerUnavailable:
            await asyncio.sleep(0.1)
        else:
            return found if isinstance(found, Generation) else None


def delivered_by(generation: Generation, attempt: int) -> set[str]:
    """The object keys of those outputs that one attempt delivered: `…/<attempt>-<index>.<extension>`."""
    keys = {output.object_key for output in generation.outputs}
    return {key for key in keys if key.rpartition("/")[2].startswith(f"{attempt}-")}
