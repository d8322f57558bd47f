"""R9: whoever ends a generation, it ends once and its credits move once, in whatever order results arrive."""

from __future__ import annotations

import asyncio
import random

import pytest

from gateway.domain import FINAL_STATES, FailureCode, operation_id
from gateway.ledger import outcomes
from tests.ledger.world import HOUR, World, an_output

ROUNDS = 25
PRICE = 9_000


@pytest.mark.parametrize("delivered", [0, 1, 2])
async def test_settle_cancel_renew_and_rescue_at_once_end_it_once(worlds: list[World], delivered: int) -> None:
    chance = random.Random(delivered)
    for number in range(ROUNDS):
        account = f"racer-{number}"
        await worlds[0].account(account)
        generation = await worlds[0].running(PRICE, account=account, outputs=3)
        await worlds[0].deliver(generation, *range(delivered))
        await worlds[0].pass_time(generation, HOUR)
        deadline = await worlds[0].deadline(generation)
        assert deadline is not None
        racing = []
        for world in worlds:
            ledger = world.ledger
            racing += [
                ledger.settle(generation=generation, attempt=1, operation=operation_id(), failure=None),
                ledger.settle(
                    generation=generation, attempt=1, operation=operation_id(), failure=FailureCode.MODERATED
                ),
                ledger.cancel(generation=generation),
                ledger.renew(generation=generation, attempt=1),
                ledger.rescue(generation=generation, deadline=deadline, judge_leases=True),
                ledger.deliver(generation=generation, attempt=1, output=an_output(chance.randrange(3))),
            ]
        chance.shuffle(racing)
        answers = await asyncio.gather(*racing)
        endings = [outcome for outcome in answers if isinstance(outcome, outcomes.Ended)]
        # The same attempt's renewals are one call sent again (R11): if one of them ended it, all are told so.
        assert len(endings) in {1, len(worlds)}
        assert len({(ending.generation.state, ending.generation.operation) for ending in endings}) == 1
        assert len(endings) == 1 or endings[0].generation.operation == "renew 1"
        found = await worlds[0].generation(generation)
        assert found.state in FINAL_STATES
        assert found.committed_millicredits == PRICE * len(found.outputs) // 3
        assert found.committed_millicredits + found.refunded_millicredits == PRICE
        assert sum(await worlds[0].available(account)) == 100_000 - found.committed_millicredits
        assert await worlds[0].held(account) == 0


async def test_begin_and_cancel_at_once_leave_one_truth(worlds: list[World]) -> None:
    """Either it was cancelled before it began, or it runs and was asked to stop."""
    for number in range(ROUNDS):
        account = f"racer-{number}"
        await worlds[0].account(account)
        generation = await worlds[0].spend(PRICE, account)
        begun, cancelled = await asyncio.gather(
            worlds[1].ledger.begin(generation=generation, attempt=1, operation=operation_id()),
            worlds[2].ledger.cancel(generation=generation),
        )
        assert (type(begun), type(cancelled)) in {
            (outcomes.Stale, outcomes.Ended),
            (outcomes.Begun, outcomes.CancelRequested),
        }


async def test_many_caretakers_rescue_once(worlds: list[World]) -> None:
    for number in range(ROUNDS):
        account = f"racer-{number}"
        await worlds[0].account(account)
        generation = await worlds[0].running(PRICE, account=account)
        await worlds[0].pass_time(generation, HOUR // 60)
        deadline = await worlds[0].deadline(generation)
        assert deadline is not None
        answers = await asyncio.gather(
            *(world.ledger.rescue(generation=generation, deadline=deadline, judge_leases=True) for world in worlds * 3)
        )
        assert sum(isinstance(outcome, outcomes.Requeued) for outcome in answers) == 1
        assert (await worlds[0].generation(generation)).failures == 1


async def test_two_that_end_at_once_promote_two_and_never_the_same(worlds: list[World]) -> None:
    for number in range(ROUNDS):
        account = f"racer-{number}"
        await worlds[0].account(account)
        made = [await worlds[0].spend(1_000, account) for _ in range(4)]
        answers = await asyncio.gather(
            worlds[1].ledger.cancel(generation=made[0]), worlds[2].ledger.cancel(generation=made[1])
        )
        promoted = [
            d.generation for outcome in answers if isinstance(outcome, outcomes.Ended) for d in outcome.promoted
        ]
        assert sorted(promoted) == sorted(made[2:])
