"""A ledger at work, whose every script's effect is written down: what a torn file may be compared with."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis as blocking

from gateway.domain import Bucket, FailureCode, operation_id
from gateway.ledger.ledger import Ledger
from gateway.local.embedded import durable_arguments, find_redis
from gateway.redis_link.calls import Reply
from gateway.redis_link.connections import connect_ledger
from gateway.redis_link.scripts import Argument
from tests.invariants.contents import Contents, read_contents
from tests.ledger.world import HOUR, PARTITIONS, World

LEASE_MS = 5  # it lapses at once, so that a rescue finds something to do
VIDEO: dict[str, Any] = {"tool": "video", "model": "wan-2.2", "settings": {"resolution": "480p"}}


@dataclass(frozen=True, slots=True)
class Effect:
    """The ledger after one script (or several that wrote nothing): how long its file was then, and what it held."""

    script: str
    size: int
    contents: Contents


@dataclass
class RecordedLedger(Ledger):
    """A ledger that notes what each of its scripts left behind, on disk and in memory."""

    url: str
    file: Path
    effects: list[Effect] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(connect_ledger(self.url), partitions=PARTITIONS, lease_ms=LEASE_MS)

    async def run(self, name: str, key: str, /, **arguments: Argument | None) -> tuple[str, Reply]:
        answer = await super().run(name, key, **arguments)
        await self.record(name)
        return answer

    async def record(self, name: str) -> None:
        """Note an effect, if there is one. The size is read first: an answer says that its effect is in the file."""
        size = self.file.stat().st_size
        if not self.effects or size > self.effects[-1].size:
            self.effects.append(Effect(name, size, await read_contents(self.redis)))


async def live(world: World) -> None:
    """One account's busy day: every script that moves credits, at least once."""
    await world.account(top_up=200_000, plan="standard")
    settled = await world.spend(70_000, outputs=2)
    await world.begin(settled)
    await world.ledger.renew(generation=settled, attempt=1, progress_thousandths=400)
    await world.deliver(settled, 0)
    cancelled = await world.spend(50_000)
    await world.ledger.cancel(generation=cancelled)
    *queued, waiting = [await world.spend(20_000) for _ in range(10)]  # eight are in work, so the last ones wait
    await world.settle(settled)
    await world.ledger.cancel(generation=waiting)
    failed = await world.spend(30_000, **VIDEO)
    await world.begin(failed)
    await world.settle(failed, FailureCode.WORKER_LOST)
    await world.parked(40_000, **VIDEO)
    handed_back = await world.running(15_000, **VIDEO)
    await world.ledger.hand_back(generation=handed_back, attempt=1, operation=operation_id())
    await world.grant("ann", 12_000, Bucket.FREE)
    await world.ledger.adjust(
        account="ann", operation=operation_id(), bucket=Bucket.TOP_UP, millicredits=-5_000, reason="a correction"
    )
    await world.begin(handed_back, attempt=2)
    await asyncio.sleep(2 * LEASE_MS / 1000)
    await world.rescue(handed_back)
    await world.advance(40 * 24 * HOUR)
    await world.finish(queued[0])
    await world.finish(queued[1])


@contextmanager
def serving(directory: Path) -> Iterator[str]:
    """A server with the embedded one's arguments on the append-only files in `directory`; its address."""
    with tempfile.TemporaryDirectory() as short:  # a socket's path has a limit that pytest's folders come near
        socket = Path(short) / "redis.sock"
        arguments = ["--port", "0", "--unixsocket", str(socket), "--dir", str(directory), "--logfile", "redis.log"]
        program = find_redis().path
        process = subprocess.Popen([program, *arguments, *durable_arguments()], stdout=subprocess.DEVNULL)
        try:
            _wait_until_it_answers(socket, process)
            yield f"unix://{socket}"
        finally:
            process.kill()
            process.wait()


def _wait_until_it_answers(socket: Path, process: subprocess.Popen[bytes]) -> None:
    with blocking.Redis(unix_socket_path=os.fspath(socket)) as client:
        while True:
            assert process.poll() is None, "the server ended"
            try:
                client.ping()
            except (blocking.ConnectionError, blocking.BusyLoadingError):
                continue
            return


def append_only_file(directory: Path) -> Path:
    """The file that is being appended to."""
    (file,) = (directory / "appendonlydir").glob("*.incr.aof")
    return file
