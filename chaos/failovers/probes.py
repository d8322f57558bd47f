"""How long it takes from a master's end until something new is accepted again, by an account of its slots."""

from __future__ import annotations

import asyncio
import statistics
from dataclasses import dataclass, field
from itertools import count

from redis.crc import key_slot

from chaos.failovers.servers import Topology
from chaos.load import Load
from gateway.domain import partition_of_account
from gateway.ledger import keys
from gateway.ledger.core import PARTITIONS

NAMES = tuple(f"probe-{number}" for number in range(12))
GRANTED = 100_000
_ACCEPTED = 202
_PAUSE_SECONDS = 0.03
_ONE_SECONDS = 1.0
_PATIENCE_SECONDS = 90


def slot_of(account: str) -> int:
    """The slot of an account's partition."""
    return int(key_slot(keys.tag(partition_of_account(account, PARTITIONS)).encode()))


@dataclass(slots=True)
class Probes:
    """Sends an order again and again until it is accepted. `times`: seconds, by kind of fault."""

    load: Load
    topology: Topology
    times: dict[str, list[float]] = field(default_factory=dict)
    _numbers: count[int] = field(default_factory=count)

    async def measure(self, kind: str, shard: int) -> None:
        """Until the first order that is made from now is accepted."""
        loop = asyncio.get_running_loop()
        account = next((name for name in NAMES if self.topology.shard_of(slot_of(name)) == shard), None)
        if account is None:
            return
        started, number = loop.time(), next(self._numbers)
        body = {
            "tool": "image",
            "model": "sketch",
            "prompt": "probe",
            "outputs": 1,
            "metadata": {"key": f"probe-{number}"},
        }
        while loop.time() - started < _PATIENCE_SECONDS:
            for gateway in self.load.gateways:
                try:
                    async with asyncio.timeout(_ONE_SECONDS):
                        answer = await self.load.call_once(
                            gateway,
                            "POST",
                            "/v1/generations",
                            key=self.load.keys[account],
                            body=body,
                            idempotency_key=f"probe-{number}",
                        )
                except TimeoutError:
                    continue
                if answer is not None and answer.status in {200, _ACCEPTED}:
                    self.times.setdefault(kind, []).append(loop.time() - started)
                    self.load.acknowledged[f"probe-{number}"].add(answer.body["id"])
                    return
            await asyncio.sleep(_PAUSE_SECONDS)
        self.load.problems.append(f"nothing was accepted for {_PATIENCE_SECONDS} s after: {kind}")

    def figures(self) -> dict[str, dict[str, float]]:
        """Median and worst, in seconds, by kind and of all."""
        groups = {**self.times, "all": [each for times in self.times.values() for each in times]}
        return {
            kind: {"times": len(times), "median": round(statistics.median(times), 2), "worst": round(max(times), 2)}
            for kind, times in groups.items()
            if times
        }
