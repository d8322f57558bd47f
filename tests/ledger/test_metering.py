"""R29: a price with reported units holds its ceiling, and charges each delivered output for what was reported of it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from math import ceil

import pytest

from gateway.domain import AMOUNT_MAX_MILLICREDITS, FailureCode, State, partition_of_generation
from gateway.ledger import keys, outcomes
from gateway.ledger.audit import audit
from gateway.ledger.audit.report import DifferenceKind
from gateway.metering import MILLIONTHS, NANOCREDITS_PER_MILLICREDIT, Meter, Metering, Reports, Unit
from tests.invariants.patched import replaced
from tests.ledger.world import World, an_output, open_world, the
from tests.lengths import LONG

AT_ONCE = 50
NANO = 1000 * NANOCREDITS_PER_MILLICREDIT  # per credit


def seconds(amount: Decimal | int) -> int:
    return int(amount * MILLIONTHS)


def per_second(
    credits_: Decimal | int = Decimal("12.5"), at_most: int = 30, unreported: int = 30, fixed: int = 0
) -> Metering:
    """By default the price of R29's example: 12.5 credits per second, 30 s at most."""
    meter = Meter(Unit.SECONDS, int(credits_ * NANO), seconds(at_most), seconds(unreported))
    return Metering(fixed * NANO, (meter,), 0)


async def made(
    world: World,
    price: int,
    metering: Metering,
    reports: Sequence[Reports | None],
    *,
    failure: FailureCode | None = None,
    account: str = "ann",
) -> outcomes.Generation:
    """A generation with these reports of its outputs, None for one that is not delivered, at its end."""
    generation = await world.running(price, account=account, outputs=len(reports), metering=metering)
    for index, reported in enumerate(reports):
        if reported is not None:
            output = replace(an_output(index), reports=reported)
            the(outcomes.Noted, await world.ledger.deliver(generation=generation, attempt=1, output=output))
    return the(outcomes.Ended, await world.settle(generation, failure)).generation


async def test_three_seconds_of_a_hold_for_thirty_commit_three(bare: World) -> None:
    await bare.account(top_up=400_000)
    ended = await made(bare, 375_000, per_second(), [{Unit.SECONDS: seconds(3)}])
    assert (ended.state, ended.committed_millicredits, ended.refunded_millicredits) == (
        State.SUCCEEDED,
        37_500,
        337_500,
    )
    assert ended.charged == {Unit.SECONDS: seconds(3)}
    assert ended.outputs[0].reports == {Unit.SECONDS: seconds(3)}
    assert sum(await bare.available()) == 500_000 - 37_500


@pytest.mark.parametrize(
    ("reported", "charged"),
    [
        pytest.param({}, 20, id="nothing: as the card says"),
        pytest.param({Unit.TOKENS: 7}, 20, id="another unit"),
        pytest.param({Unit.SECONDS: None}, 30, id="no amount: the ceiling"),
        pytest.param({Unit.SECONDS: -1}, 30, id="negative: the ceiling"),
        pytest.param({Unit.SECONDS: seconds(31)}, 30, id="above: the ceiling"),
        pytest.param({Unit.SECONDS: 10**40}, 30, id="far above"),
        pytest.param({Unit.SECONDS: seconds(30)}, 30, id="exactly the ceiling"),
        pytest.param({Unit.SECONDS: 0}, 0, id="zero"),
    ],
)
async def test_odd_reports_are_charged_as_documented(bare: World, reported: Reports, charged: int) -> None:
    await bare.account(top_up=400_000)
    ended = await made(bare, 375_000, per_second(unreported=20), [reported])
    assert ended.committed_millicredits == 12_500 * charged
    assert ended.charged == {Unit.SECONDS: seconds(charged)}


async def test_the_first_report_stands(bare: World) -> None:
    await bare.account(top_up=400_000)
    generation = await bare.running(375_000, metering=per_second())
    for amount in (3, 4):
        output = replace(an_output(), reports={Unit.SECONDS: seconds(amount)})
        the(outcomes.Noted, await bare.ledger.deliver(generation=generation, attempt=1, output=output))
    assert the(outcomes.Ended, await bare.settle(generation)).generation.committed_millicredits == 37_500


async def test_what_an_earlier_attempt_delivered_keeps_its_report(bare: World) -> None:
    await bare.account(top_up=800_000)
    generation = await bare.running(750_000, outputs=2, metering=per_second())
    first = replace(an_output(0), reports={Unit.SECONDS: seconds(3)})
    await bare.ledger.deliver(generation=generation, attempt=1, output=first)
    await bare.hand_back(generation)
    await bare.begin(generation, 2)
    for index in (0, 1):
        output = replace(an_output(index, 2), reports={Unit.SECONDS: seconds(5)})
        await bare.ledger.deliver(generation=generation, attempt=2, output=output)
    ended = the(outcomes.Ended, await bare.settle(generation, attempt=2)).generation
    assert ended.committed_millicredits == 12_500 * (3 + 5)


async def test_only_delivered_outputs_are_charged_and_at_their_ceilings_as_any_price(bare: World) -> None:
    """R9's floor: of 100 millicredits for three outputs, two are 66."""
    await bare.account(top_up=1_000_000)
    ended = await made(bare, 750_000, per_second(), [None, {Unit.SECONDS: seconds(3)}])
    assert (ended.state, ended.committed_millicredits) == (State.SUCCEEDED, 37_500)
    third = Metering(100 * NANOCREDITS_PER_MILLICREDIT, (Meter(Unit.TOKENS, 0, 1, 1),), 0)
    ended = await made(bare, 100, third, [{}, {}, None])
    assert ended.committed_millicredits == 66
    assert (await made(bare, 100, third, [None] * 3, failure=FailureCode.MODERATED)).committed_millicredits == 0


async def test_a_cancelled_one_is_charged_for_what_was_used(bare: World) -> None:
    await bare.account(top_up=800_000)
    generation = await bare.running(750_000, outputs=2, metering=per_second())
    output = replace(an_output(), reports={Unit.SECONDS: seconds(2)})
    await bare.ledger.deliver(generation=generation, attempt=1, output=output)
    await bare.ledger.cancel(generation=generation)
    ended = the(outcomes.Ended, await bare.settle(generation)).generation
    assert (ended.state, ended.committed_millicredits) == (State.CANCELLED, 25_000)


async def test_what_a_process_of_the_version_before_ends_is_charged_its_ceiling_and_audits_clean(
    redis_url: str,
) -> None:
    """Its scripts know no reported units, and it has no way to be told: nobody pays more than was quoted."""
    without = ("if g.meters then plan.committed, plan.charged = metering.charge(g, plan.committed) end", "")
    with replaced(without) as changed:
        async with open_world(redis_url) as world:
            await world.account(top_up=800_000)
            ended = await made(world, 750_000, per_second(), [{Unit.SECONDS: seconds(3)}, None])
            assert changed
            assert (ended.committed_millicredits, ended.charged) == (375_000, None)


async def test_the_audit_finds_what_was_not_charged_as_reported(bare: World) -> None:
    await bare.account(top_up=800_000)
    ended = await made(bare, 375_000, per_second(), [{Unit.SECONDS: seconds(3)}])
    earlier = await made(bare, 375_000, per_second(), [{Unit.SECONDS: seconds(30)}])
    await bare.redis.hdel(keys.generation(partition_of_generation(earlier.id), earlier.id), "charged")
    assert (await audit(bare.ledger)).clean, "a process of the version before may have ended it"
    name = keys.generation(partition_of_generation(ended.id), ended.id)
    await bare.redis.hset(name, "reported:0", f"seconds:{seconds(4)}")
    (found,) = (await audit(bare.ledger)).differences
    assert (found.kind, found.expected) == (DifferenceKind.SETTLED, "50 committed for 1 of 1 outputs")
    bare.holds = False


def expected(price: int, metering: Metering, reports: Sequence[Reports | None]) -> int:
    """The rule in fractions: Σ over delivered outputs of its share of what is fixed + Σ reported × rate, rounded up."""
    delivered = [reported for reported in reports if reported is not None]
    total = Fraction(metering.fixed_nanocredits * len(delivered), len(reports))
    for reported in delivered:
        for meter in metering.meters:
            total += Fraction(meter.nanocredits * counted(meter, reported), MILLIONTHS)
    return min(price * len(delivered) // len(reports), ceil(total / NANOCREDITS_PER_MILLICREDIT))


def counted(meter: Meter, reported: Mapping[Unit, int | None]) -> int:
    amount = reported.get(meter.unit, meter.unreported)
    return meter.at_most if amount is None or not 0 <= amount <= meter.at_most else amount


def a_job(dice: random.Random) -> tuple[int, Metering, list[Reports | None]]:
    """Any price by reported units, up to the largest, and what is reported: mostly amounts below the ceiling."""
    outputs, units = dice.choice((1, 1, 2, 3, 7, 100)), dice.sample(list(Unit), dice.choice((1, 1, 2, 8)))
    meters = []
    for unit in units:
        at_most = dice.choice((1, 30 * MILLIONTHS, 4_096 * MILLIONTHS, 10**13, dice.randrange(1, 10**13)))
        room = AMOUNT_MAX_MILLICREDITS * NANOCREDITS_PER_MILLICREDIT * MILLIONTHS // (at_most * outputs * 10)
        rate = dice.choice((0, 1, 999_999, 12_500_000_000, dice.randrange(10**15), 10**15))
        meters.append(Meter(unit, min(rate, room), at_most, dice.randrange(at_most + 1)))
    fixed = dice.choice((0, 0, 1, 73_500 * NANOCREDITS_PER_MILLICREDIT, dice.randrange(10**17)))
    metering = Metering(fixed, tuple(meters), 0)
    most = Fraction(fixed) + sum(Fraction(one.nanocredits * one.at_most * outputs, MILLIONTHS) for one in meters)
    reports: list[Reports | None] = []
    for _ in range(outputs):
        reported: dict[Unit, int | None] = {}
        for meter in meters:
            odd = dice.random()
            if odd < 0.05:
                reported[meter.unit] = dice.choice((None, -1, meter.at_most + 1, 10**20))
            elif odd < 0.9:
                reported[meter.unit] = dice.choice((0, meter.at_most, dice.randrange(meter.at_most + 1)))
        reports.append(reported if dice.random() < 0.9 else None)
    return ceil(most / NANOCREDITS_PER_MILLICREDIT), metering, reports


@pytest.mark.timeout(1800 if LONG else 180)
async def test_random_jobs_commit_the_sum_of_what_was_reported(bare: World) -> None:
    """At any size, to the millicredit; afterwards the invariants hold over all of it."""
    dice = random.Random(29)
    await bare.publish(daily_millicredits=0)
    jobs = [a_job(dice) for _ in range(10_000 if LONG else 150)]
    for start in range(0, len(jobs), AT_ONCE):
        some = enumerate(jobs[start : start + AT_ONCE], start)
        await asyncio.gather(*(_commits_what_is_expected(bare, f"job-{number}", *job) for number, job in some))
    assert (await audit(bare.ledger, rest=0)).clean


async def _commits_what_is_expected(
    world: World, account: str, price: int, metering: Metering, reports: list[Reports | None]
) -> None:
    await world.account(account, top_up=max(price, 1))
    ended = await made(world, price, metering, reports, account=account)
    assert ended.committed_millicredits == expected(price, metering, reports), (price, metering, reports)
    assert sum(await world.available(account)) == max(price, 1) - ended.committed_millicredits
