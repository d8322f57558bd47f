"""R31: what a job costs at its provider: as it says, as the card assumes, and for what nobody gets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from gateway.domain import Cost, State
from gateway.errors import LedgerUnavailable, ProviderFailed
from gateway.ledger.margin_records import Margin
from gateway.ledger.outcomes import Ended
from gateway.metering import Unit
from tests.workers.scripted import Scripted, picture
from tests.workers.stage import Stage
from tests.workers.test_providers_in_order import REFUSED, Two, opened_scene
from workers.attempts.generate import stop
from workers.providers import Pending, ProviderRequest, Rendered, Result

COSTS = """
[models.nano-banana-2.at.a]
cost = 0.04
[models.nano-banana-2.at.b]
[models.nano-banana-2.at.b.cost]
amount = 0.001
reported = { unit = "provider_credits", amount = 0.02, at_most = 4, if_unreported = 1 }
"""
A, B = Cost("a", 40_000), Cost("b", 21_000)


@pytest.fixture
async def scene(stage: Stage, tmp_path: Path) -> AsyncIterator[Two]:
    async for scene in opened_scene(stage, tmp_path, COSTS):
        yield scene


async def by_provider(scene: Two) -> dict[str, Margin]:
    """What the ledger has booked."""
    found: dict[str, Margin] = {}
    day = (await scene.stage.ledger.redis.keys("*:margin:*"))[0].decode().rpartition(":")[2]
    for row in await scene.stage.ledger.margin(days=[day]):
        found[row.provider] = found.get(row.provider, Margin()) + row.margin
    return found


async def test_an_output_costs_what_the_card_says_unless_its_provider_says_otherwise(scene: Two) -> None:
    scene.scripts(a=[[picture(0)], [replace(picture(0), cost=0.05)]])
    first, second = await scene.made(), await scene.made()
    assert [made.outputs[0].cost for made in (first, second)] == [A, Cost("a", 40_000, 50_000)]
    booked = (await by_provider(scene))["a"]
    assert (booked.cost, booked.reported, booked.compared, booked.beside) == (90_000, 50_000, 50_000, 40_000)
    assert (booked.generations, booked.losses, booked.unknown_generations) == (2, 0, 0)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (-0.01, "not_an_amount"), (float("nan"), "not_an_amount"), (float("inf"), "not_an_amount"),
        ("0.05", "not_an_amount"), (True, "not_an_amount"), ({"usd": 1}, "not_an_amount"), (10_001, "absurd"),
    ],
)  # fmt: skip
async def test_an_odd_report_is_told_and_the_assumed_cost_counts(said: object, why: str, scene: Two) -> None:
    labels = {"model": "nano-banana-2", "provider": "a", "outcome": why}
    before = REGISTRY.get_sample_value("farebox_reported_costs_total", labels) or 0
    scene.scripts(a=[[replace(picture(0), cost=said)]])
    with capture_logs() as logs:
        made = await scene.made()
    assert made.outputs[0].cost == A
    assert [line["why"] for line in logs if line["event"] == "reported_cost_ignored"] == [why]
    assert REGISTRY.get_sample_value("farebox_reported_costs_total", labels) == before + 1


async def test_refused_by_a_and_made_by_b_costs_nothing_at_a(scene: Two) -> None:
    scene.a.refuse_submits = [REFUSED]
    made = await scene.made()
    assert (made.request.provider, made.outputs[0].cost) == ("b", B)
    booked = await by_provider(scene)
    assert {name: one.cost for name, one in booked.items()} == {"b": 21_000}
    assert booked["b"].millicredits == made.price_millicredits


async def test_units_that_a_provider_bills_are_what_it_reports_whatever_the_ceiling(scene: Two) -> None:
    scene.a.refuse_submits = [REFUSED, REFUSED]
    billed = [replace(picture(0), reported={Unit.PROVIDER_CREDITS: units}) for units in (9, -1)]
    scene.b.scripts = [[one] for one in billed]
    costs = [(await scene.made()).outputs[0].cost for _ in billed]
    assert costs == [Cost("b", 21_000, 181_000), B]


async def test_a_failed_job_costs_nothing_unless_its_provider_says_so(scene: Two) -> None:
    dear = ProviderFailed("out of memory")
    dear.cost = 0.03
    scene.scripts(a=[[Pending(), ProviderFailed("it broke")], [Pending(), dear]])
    for _ in range(2):
        assert (await scene.made()).request.provider == "b"
    booked = (await by_provider(scene))["a"]
    assert (booked.cost, booked.losses, booked.reported, booked.generations) == (30_000, 30_000, 30_000, 0)


async def test_a_settle_whose_reply_comes_after_the_next_attempt_is_booked_once(
    scene: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was sent again, refused as stale, and what the job had cost was booked as lost for a second time."""
    dear, settle = ProviderFailed("out of memory"), scene.place.ledger.settle
    dear.cost = 0.03
    scene.scripts(a=[[Pending(), dear]])
    generation = await scene.ordered()

    async def cut_off(**arguments: Any) -> object:
        outcome = await settle(**arguments)
        if arguments["failure"] is None:
            return outcome
        monkeypatch.setattr(scene.place.ledger, "settle", settle)
        assert (await scene.made(generation)).state is State.SUCCEEDED  # another worker was faster
        raise LedgerUnavailable("its reply was lost")

    monkeypatch.setattr(scene.place.ledger, "settle", cut_off)
    made = await scene.made(generation)
    assert (made.request.provider, made.lost) == ("b", (Cost("a", None, 30_000),))
    booked = await by_provider(scene)
    assert {name: (one.cost, one.losses) for name, one in booked.items()} == {"a": (30_000, 30_000), "b": (21_000, 0)}


async def test_what_was_made_and_is_refused_by_checks_is_lost_and_the_rest_is_not(scene: Two) -> None:
    """An image that is none: worth another attempt, at the provider's next job, which has a cost of its own."""
    broken = Rendered(index=0, data=picture(0).data[:40])
    scene.scripts(a=[[broken], [picture(0)]], b=[[replace(broken, cost=0.5)], [picture(0)]])
    made = await scene.made()
    assert made.state is State.SUCCEEDED
    booked = await by_provider(scene)
    assert {name: (one.cost, one.losses) for name, one in booked.items()} == {
        "a": (80_000, 40_000), "b": (500_000, 500_000),
    }  # fmt: skip
    assert made.lost == (A, Cost("b", 21_000, 500_000))
    revenue = {name: one.millicredits for name, one in booked.items() if one.millicredits}
    assert revenue == {"a": made.price_millicredits}


async def test_a_late_success_of_a_provider_that_was_left_is_booked_once_as_a_loss(scene: Two) -> None:
    scene.a.scripts[0] = [Pending(), ProviderFailed("it says")]
    made = await scene.made()
    for _ in range(2):  # arq may run a job twice
        scene.a.scripts[0] = [picture(0)]
        await stop(scene.context, made.id, "ref-1", "a")
    booked = await by_provider(scene)
    assert {name: (one.cost, one.losses) for name, one in booked.items()} == {"a": (40_000, 40_000), "b": (21_000, 0)}


@dataclass
class Gated(Scripted):
    """It has its result ready, and hands it out when it is let."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    asked_for: asyncio.Event = field(default_factory=asyncio.Event)

    async def results(self, ref: str | None, request: ProviderRequest) -> AsyncGenerator[Result]:
        self.asked_for.set()
        await self.gate.wait()
        async for result in super().results(ref, request):
            yield result


async def test_an_output_that_comes_after_the_end_is_a_loss(scene: Two) -> None:
    """The ledger has given the generation up and refunded it: nobody gets what arrives then, and it was made."""
    gated = Gated([[picture(0)]])
    scene.place.providers.give("a", gated)
    generation = await scene.ordered()
    running = asyncio.create_task(scene.made(generation))
    await gated.asked_for.wait()
    await scene.stage.ledger.command("HSET", scene.stage.ledger.generation_key(generation), "give_up_at", "1")
    outcome: Any = await scene.rescue(generation)
    assert isinstance(outcome, Ended)
    gated.gate.set()
    ended = await running
    assert (ended.state, ended.committed_millicredits) == (State.FAILED, 0)
    booked = (await by_provider(scene))["a"]
    assert (booked.cost, booked.losses, booked.millicredits) == (40_000, 40_000, 0)
