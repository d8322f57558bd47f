"""`farebox pricing rehearse`: what was made is priced by a card that is not in force."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from textwrap import dedent

from gateway.domain import FailureCode
from gateway.ledger.outcomes import Generation
from gateway.pricing.discounts import PricedFor
from gateway.pricing.load import load_card
from gateway.pricing.rehearsal import PastGeneration, Rehearsal
from tests.api.visitor import Visitor
from tests.preforked import run_farebox

CARD = Path(__file__).parent / "card.toml"


def past(made: Generation, priced_for: PricedFor, created_at: int = 0) -> PastGeneration:
    return PastGeneration(
        request=made.request,
        account=made.account,
        priced_for=priced_for,
        created_at=created_at,
        charged=made.request.price_millicredits,
        delivered=made.request.outputs,
    )


async def _rehearsed(url: str, *arguments: str) -> tuple[int, str, str]:
    environment = os.environ | {"FAREBOX_LEDGER_URL": url, "COLUMNS": "200"}
    done = await asyncio.to_thread(run_farebox, "pricing", "rehearse", *arguments, environment=environment)
    return done.returncode, done.stdout, done.stderr


async def test_past_generations_are_priced_by_another_card(gateway: Visitor, redis_url: str, tmp_path: Path) -> None:
    key = await gateway.account()
    partly = await gateway.made(key, outputs=3)
    await gateway.finish(partly, outputs=2)  # 15 credits for three; two thirds are charged
    await gateway.finished(key)
    failed = await gateway.made(key)
    await gateway.begin(failed)
    await gateway.settle(failed, FailureCode.MODERATED)
    await gateway.subscribe("standard")
    await gateway.finish(await gateway.made(key, model="gallery"))
    await gateway.made(key)  # still open
    next_month = tmp_path / "next.toml"
    next_month.write_text(
        CARD.read_text().replace("credits = 5\n", "credits = 7\n", 1).replace("[models.gallery", "[models.hall")
    )
    code, shown, said = await _rehearsed(redis_url, str(next_month), "--json")
    assert said == ""
    assert code == 0
    sums = json.loads(shown)
    gallery, sketch = sums["models"]
    assert (sketch["model"], sketch["generations"], sketch["charged"], sketch["would_charge"]) == (
        "sketch",
        3,
        15_000,
        21_000,
    )
    assert (sketch["dearer"], sketch["cheaper"], sketch["refused"]) == (2, 0, {})
    assert (gallery["charged"], gallery["would_charge"], gallery["lost"]) == (49_000, 0, 49_000)
    ((reason, times),) = gallery["refused"].items()
    assert reason.startswith('model: There is no image model "gallery"')
    assert times == 1
    assert (sums["total"]["charged"], sums["total"]["would_charge"]) == (64_000, 21_000)
    code, shown, _ = await _rehearsed(redis_url, str(next_month))
    assert code == 0
    assert "+40.0%" in shown
    assert "refused 1: model: There is no image model" in shown


async def test_what_is_older_or_cannot_be_asked_for_is_left_out(gateway: Visitor, redis_url: str) -> None:
    await gateway.finished(await gateway.account())
    await asyncio.sleep(0.002)  # made a millisecond ago at least
    code, shown, _ = await _rehearsed(redis_url, str(CARD), "--last", "0s")
    assert (code, shown) == (2, "")
    assert (await _rehearsed("redis://127.0.0.1:1", str(CARD)))[0] == 1
    assert (await _rehearsed(redis_url, "none.toml"))[0] == 2


async def test_a_plan_that_does_not_allow_it_refuses_it(gateway: Visitor, key: str) -> None:
    await gateway.subscribe("standard")
    made = await gateway.ledger.generation(
        generation=await gateway.made(key, model="gallery", settings={"resolution": "2K"})
    )
    assert isinstance(made, Generation)
    rehearsal = Rehearsal(load_card(CARD))
    for plan in ("standard", "free"):
        rehearsal.note(past(made, PricedFor(plan)))
    sums = rehearsal.models["image", "gallery"]
    assert (sums.generations, sums.charged, sums.would_charge, sums.lost) == (2, 147_000, 73_500, 73_500)
    assert list(sums.refused) == ["Gallery needs an active subscription."]


async def test_discounts_and_the_prices_of_a_date_are_rehearsed(
    gateway: Visitor, redis_url: str, tmp_path: Path
) -> None:
    await gateway.finished(await gateway.account())
    await gateway.ledger.set_factors(account="acme", operation="one", factors={"sketch": Decimal("0.5")})
    dated = """
    [free.discounts]
    image = 0.8
    [[models.sketch.prices]]
    valid_from = 2999-01-01
    rates = [{ credits = 10 }]
    """
    next_year = tmp_path / "next.toml"
    next_year.write_text(CARD.read_text() + dedent(dated))
    for arguments, would in (([], 2_000), (["--at", "2999-01-01"], 4_000), (["--at", "2998-12-31T23:59:59"], 2_000)):
        code, shown, _ = await _rehearsed(redis_url, str(next_year), "--json", *arguments)
        total = json.loads(shown)["total"]
        assert (code, total["charged"], total["would_charge"]) == (0, 5_000, would)


async def test_graduated_prices_are_rehearsed_by_what_each_account_had_in_the_month(
    gateway: Visitor, redis_url: str, tmp_path: Path
) -> None:
    """Whatever order they are read in; what was made before the time that is rehearsed only counts."""
    for account in ("acme", "other"):
        key = await gateway.account(account)
        for outputs in (4, 3, 1):
            await gateway.finish(await gateway.made(key, outputs=outputs), outputs=outputs)
    graduated = tmp_path / "next.toml"
    tiers = "credits = 5\ngraduated = [{ over = 5, credits = 2 }]\n"
    graduated.write_text(CARD.read_text().replace("credits = 5\n", tiers, 1))
    code, shown, _ = await _rehearsed(redis_url, str(graduated), "--json")
    total = json.loads(shown)["total"]
    assert (code, total["generations"], total["charged"]) == (0, 6, 2 * 8 * 5_000)
    assert total["would_charge"] == 2 * (5 * 5_000 + 3 * 2_000)

    card = load_card(graduated)
    made = await gateway.ledger.generation(generation=await gateway.made(key, outputs=4))
    assert isinstance(made, Generation)
    first_of_may, first_of_june = (int(datetime(2026, month, 1, tzinfo=UTC).timestamp() * 1000) for month in (5, 6))
    rehearsal = Rehearsal(card, since=first_of_june - 1)
    assert rehearsal.reads_since == first_of_may
    for at in (first_of_june, first_of_june - 1, first_of_may, first_of_may - 1):
        rehearsal.note(past(made, PricedFor(), at))
    rehearsal.finish()
    assert (rehearsal.total.generations, rehearsal.total.would_charge) == (2, (5 + 3 * 2 + 4 * 5) * 1_000)
