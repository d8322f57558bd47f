"""Vendors that call when a job has ended: the worker leaves the job with them, and is woken by their signed call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.domain import FailureCode, State
from tests.api.visitor import open_gateway
from tests.providers.fal_vendor import FalVendor
from tests.providers.replicate_vendor import SECRET, ReplicateVendor
from tests.providers.vendor import KEY, PROMPT, served
from tests.until import until
from tests.workers.stage import PRICE, Process, Stage

PUBLIC_URL = "https://farebox.example"


@dataclass
class Scene:
    stage: Stage
    vendor: ReplicateVendor | FalVendor
    card: Path

    def worker(self) -> Process:
        return self.stage.worker(FAREBOX_RATE_CARD=str(self.card), BOX_KEY=KEY, FAREBOX_PUBLIC_URL=PUBLIC_URL)

    async def order(self, **terms: int) -> str:
        asked = {"provider": "box", "model": "flux-dev", "provider_model": "black-forest-labs/flux-dev"}
        return await self.stage.order(prompt=PROMPT, settings={"resolution": "1K"}, terms=terms, **asked)


@pytest.fixture(params=[ReplicateVendor, FalVendor], ids=lambda vendor: vendor.kind)
async def scene(
    request: pytest.FixtureRequest, stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Scene]:
    monkeypatch.setenv("BOX_SECRET", SECRET)
    await stage.account()
    vendor = request.param()
    async with served(vendor, tmp_path / "card") as card:
        yield Scene(stage, vendor, card)
        assert vendor.refused == []
        assert vendor.hosted.keys_seen == 0


async def test_a_parked_job_is_finished_when_its_vendor_calls(scene: Scene, redis_url: str) -> None:
    """There is no caretaker here that would look by itself: only the call wakes it."""
    worker = scene.worker()
    scene.vendor.holding = True
    generation = await scene.order()
    await until(lambda: worker.says('"ending":"parked"'))
    (job,) = scene.vendor.jobs
    found = await scene.stage.generation(generation)
    assert (found.state, found.provider_ref, found.looks, found.failures) == (State.RUNNING, job, 1, 0)
    scene.vendor.holding = False
    address, headers, body = scene.vendor.callback(job)
    assert address.startswith(f"{PUBLIC_URL}/v1/callbacks/box/")
    with scene.card.open("a") as card:
        card.write("\n[free]\ndaily_credits = 0\n")
    settings: dict[str, Any] = {"data": scene.stage.directory, "rate_card": scene.card, "public_url": PUBLIC_URL}
    async with open_gateway(redis_url, scene.stage.directory, **settings) as gateway:
        reply = await gateway.call("POST", urlsplit(address).path, headers=headers, raw=body)
        assert reply.status == 200, reply.raw
        ended = await scene.stage.ended(generation)
    assert (ended.state, ended.attempt, ended.failures) == (State.SUCCEEDED, 2, 0)
    assert (len(scene.vendor.jobs), scene.vendor.stopped) == (1, [])
    assert await scene.stage.spent() == PRICE


async def test_a_moderated_job_ends_at_once_refunded_and_is_logged_without_the_prompt(scene: Scene) -> None:
    worker = scene.worker()
    scene.vendor.spoil = "moderated"
    ended = await scene.stage.ended(await scene.order())
    assert (ended.state, ended.error, ended.attempt) == (State.FAILED, FailureCode.MODERATED, 1)
    assert await scene.stage.spent() == 0
    assert await worker.says('"code":"moderated"')
    assert not await worker.says("fox that")
    assert not await worker.says(KEY)


async def test_what_is_cancelled_while_it_is_parked_is_stopped_at_its_vendor(scene: Scene) -> None:
    worker = scene.worker()
    scene.stage.caretaker(FAREBOX_RATE_CARD=str(scene.card), BOX_KEY=KEY)
    scene.vendor.holding = True
    generation = await scene.order()
    await until(lambda: worker.says('"ending":"parked"'))
    await scene.stage.ledger.cancel(generation=generation)
    assert (await scene.stage.ended(generation)).state is State.CANCELLED
    await until(lambda: _is_stopped(scene))
    assert await scene.stage.spent() == 0


async def _is_stopped(scene: Scene) -> bool:
    return scene.vendor.stopped == list(scene.vendor.jobs)
