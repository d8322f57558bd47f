"""Redis filled to `maxmemory`: nothing new is accepted, and everything held can still be settled, cancelled, rescued.

Not only caused but checked while it lasts: generations are made before it, and each must end during it in its way.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.exceptions import RedisError

from chaos.load import ACCEPTED, Load, Order
from chaos.processes import IMAGE_WORKERS, Processes
from gateway.domain import FINAL_STATES

_FULL_BYTES = 1 << 20  # far below what the server uses for itself: full in every case
_UNAVAILABLE = 503
_WAIT_SECONDS = 60
_CHECK_SECONDS = 0.1

Shown = dict[str, Any]


async def fill_memory(processes: Processes, load: Load, roles: Sequence[str]) -> list[str]:
    """Fill these Redis, check what must hold, make room again; what did not hold."""
    prober = _Prober(load)
    settled = await prober.order("prober", delay_seconds=3)
    cancelled = await prober.order("prober", delay_seconds=120)
    rescued = await prober.order("prober", delay_seconds=120)
    in_work = [await prober.order("waiter", delay_seconds=120) for _ in range(2)]
    waiting = await prober.order("waiter")
    await prober.until("prober", settled, "begun before the fault", _has_begun)
    for generation in (cancelled, rescued):
        await prober.until("prober", generation, "running before the fault", _runs)
    async with _full(processes, roles):
        await prober.is_refused()
        await prober.cancels("prober", cancelled)
        await prober.cancels("waiter", waiting)
        await prober.until("prober", settled, "settled while memory was full", _has_settled)
        before = (await prober.show("prober", rescued))["attempt"]
        for name in IMAGE_WORKERS:
            processes.signal(name, signal.SIGKILL)
        await prober.until(
            "prober",
            rescued,
            "rescued while memory was full",
            lambda shown: shown["status"] == "queued" or shown["attempt"] > before,
        )
        await prober.cancels("prober", rescued)
    for generation in in_work:
        await prober.cancels("waiter", generation)
    await prober.order("prober")  # accepted again
    return prober.problems


@asynccontextmanager
async def _full(processes: Processes, roles: Sequence[str]) -> AsyncIterator[None]:
    try:
        for role in roles:
            await _set_maxmemory(processes, role, _FULL_BYTES)
        yield
    finally:
        for role in roles:
            await _set_maxmemory(processes, role, 0)


async def _set_maxmemory(processes: Processes, role: str, size: int) -> None:
    async with processes.redis(role) as redis:
        while True:
            with contextlib.suppress(RedisError, OSError):
                await redis.config_set("maxmemory", size)
                return
            await asyncio.sleep(_CHECK_SECONDS)


class _Prober:
    """Orders generations and says which of them did not come to the end that they had to come to."""

    def __init__(self, load: Load) -> None:
        self.problems: list[str] = []
        self._load = load

    async def order(self, account: str, **sandbox: Any) -> str:
        """An acknowledged generation."""
        key = f"probe-{account}-{secrets.token_hex(8)}"
        body = {"tool": "image", "model": "sketch", "prompt": "probe", "metadata": {"key": key}, "sandbox": sandbox}
        answer = await self._load.submit(Order(key, account, body))
        if answer.status not in ACCEPTED:
            raise RuntimeError(f"a probe was answered {answer.status}: {answer.body}")
        generation: str = answer.body["id"]
        return generation

    async def show(self, account: str, generation: str) -> Shown:
        """The generation as the API shows it."""
        path = f"/v1/generations/{generation}"
        return (await self._load.call("GET", path, self._load.keys[account])).body

    async def is_refused(self) -> None:
        """Nothing new is accepted: every gateway answers 503, whatever is tried."""
        body = {"tool": "image", "model": "sketch", "prompt": "probe"}
        for gateway in self._load.gateways * 3:
            answer = None
            while answer is None:  # a gateway that is being started again
                answer = await self._load.call_once(
                    gateway,
                    "POST",
                    "/v1/generations",
                    key=self._load.keys["prober"],
                    body=body,
                    idempotency_key=secrets.token_hex(8),
                )
                await asyncio.sleep(_CHECK_SECONDS)
            if answer.status != _UNAVAILABLE:
                self.problems.append(f"memory was full, and a new order was answered {answer.status}")

    async def cancels(self, account: str, generation: str) -> None:
        """It can be cancelled, and is then refunded."""
        await self._within(self._load.cancel(account, generation), f"{generation} could not be cancelled")
        await self.until(account, generation, "cancelled", lambda shown: shown["status"] == "cancelled")

    async def until(self, account: str, generation: str, what: str, holds: Callable[[Shown], bool]) -> None:
        """Wait until something holds of a generation; a problem if it does not in time, or has ended otherwise."""

        async def look() -> None:
            while not holds(shown := await self.show(account, generation)):
                if shown["status"] in FINAL_STATES:
                    self.problems.append(f"{generation} was not {what}: it {shown['status']} ({shown['error']})")
                    return
                await asyncio.sleep(_CHECK_SECONDS)

        await self._within(look(), f"{generation} was not {what}")

    async def _within(self, work: Awaitable[Any], problem: str) -> None:
        try:
            await asyncio.wait_for(work, _WAIT_SECONDS)
        except TimeoutError:
            self.problems.append(problem)


def _has_begun(shown: Shown) -> bool:
    return bool(shown["attempt"] > 0)


def _runs(shown: Shown) -> bool:
    return bool(shown["status"] == "running")


def _has_settled(shown: Shown) -> bool:
    return bool(shown["status"] == "succeeded" and not shown["credits"]["held"])
