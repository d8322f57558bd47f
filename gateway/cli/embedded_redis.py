"""The embedded Redis for a command that needs its data: the running one, else one started for the command."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator

from redis.exceptions import RedisError

from gateway.errors import LedgerUnavailable
from gateway.local.lifeline import Lifeline
from gateway.local.supervisor import PARENT_VARIABLE
from gateway.redis_link.connections import connect_queue
from gateway.settings import Settings

_COMMAND = (sys.executable, "-P", "-m", "gateway", "redis")
_CHECK_SECONDS = 0.05


@contextlib.asynccontextmanager
async def redis_in_reach(settings: Settings) -> AsyncIterator[None]:
    """Keep the embedded Redis available meanwhile, if it is the ledger; LedgerUnavailable if it has no data here.

    It is started if none is running, such as after a Ctrl-C of `farebox up` or a refused start, and stopped afterwards.
    It never creates a new ledger.
    """
    if not settings.embedded or await _answers(settings):
        yield
        return
    files = settings.data.resolve() / "redis" / "appendonlydir"
    if not files.is_dir():
        raise LedgerUnavailable(
            f"there is no ledger in {settings.data.resolve()}. Run this in the folder where `farebox up` runs, or set "
            "FAREBOX_DATA to its data folder or FAREBOX_LEDGER_URL to a Redis"
        )
    lifeline = Lifeline()
    process = await asyncio.create_subprocess_exec(
        *_COMMAND,
        env={**settings.environment(), PARENT_VARIABLE: str(lifeline.reading_fd)},
        pass_fds=[lifeline.reading_fd],
        start_new_session=True,  # Ctrl-C is for us
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = asyncio.create_task(process.communicate())
    try:
        await _until_it_answers(settings, said)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await said
        lifeline.cut()


async def _until_it_answers(settings: Settings, said: asyncio.Task[tuple[bytes, bytes]]) -> None:
    while not await _answers(settings):
        if said.done():
            last = said.result()[0].decode(errors="replace").strip().splitlines()[-3:]
            raise LedgerUnavailable("the embedded Redis does not start: " + " / ".join(last))
        await asyncio.sleep(_CHECK_SECONDS)


async def _answers(settings: Settings) -> bool:
    """Whether it has loaded its files, which takes a while, and responds."""
    redis = connect_queue(settings.queue_address)
    try:
        await redis.ping()
    except (RedisError, OSError):
        return False
    else:
        return True
    finally:
        await redis.aclose()


def check_is_there(settings: Settings) -> None:
    """LedgerUnavailable if no server ever listened in the data folder; for commands that read its ledger."""
    if settings.embedded and not settings.redis_socket.exists():
        raise LedgerUnavailable(
            f"no embedded Redis is running in {settings.data.resolve()}. Run this in the folder where `farebox up` "
            "runs (start that, or `farebox redis`), or set FAREBOX_DATA to its data folder or FAREBOX_LEDGER_URL to "
            "a Redis"
        )
