"""A rolling upgrade under load, from another version to this one and back, in the order of docs/upgrading.md."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from chaos.faults import Scene
from chaos.processes import CARETAKERS, GATEWAYS, WORKERS

THERE = (CARETAKERS, WORKERS, GATEWAYS)
"""The order of the chart and of docs/upgrading.md; back, from its end."""
_ORDERS_BETWEEN = 20
_PATIENCE_SECONDS = 300
_CHECK_SECONDS = 0.05


async def there_and_back(scene: Scene, old: Path) -> None:
    """Replace every process of the `old` version by one of this, then every one of this by an old one.

    Between two kinds both versions work side by side for a while.
    """
    await _work_for_a_while(scene)
    for to, python, order in (("new", Path(sys.executable), THERE), ("old", old, THERE[::-1])):
        for kind in order:
            for name in kind:
                await _replace(scene, name, to, python)
            await _work_for_a_while(scene)
    await scene.cast.satisfied()


async def _replace(scene: Scene, name: str, to: str, python: Path) -> None:
    """Replace one process, a worker in the middle of its work."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while name in WORKERS and not scene.processes.said.unfinished(name):  # noqa: ASYNC110 - another process
            await asyncio.sleep(_CHECK_SECONDS)
        scene.replaced[f"{name} by {to}"] = (await scene.processes.ledger.totals()).open
        await scene.processes.replace(name, python)
        if name in GATEWAYS:
            await scene.load.is_ready(scene.processes.addresses[GATEWAYS.index(name)])


async def _work_for_a_while(scene: Scene) -> None:
    """Return when so many more orders were acknowledged, and something is open."""
    enough = len(scene.load.acknowledged) + _ORDERS_BETWEEN
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while len(scene.load.acknowledged) < enough or not (await scene.processes.ledger.totals()).open:  # noqa: ASYNC110
            await asyncio.sleep(_CHECK_SECONDS)
