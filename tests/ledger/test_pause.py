"""`pause` (R36): nothing of it starts; what is new is refused, or waits too; what runs goes on."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.domain import NewOnes, PauseKind, operation_id
from gateway.ledger import outcomes
from gateway.ledger.pause_records import Pause, Paused
from tests.ledger.world import DAY, HOUR, MINUTE, SECOND, World, the

WHY = "the provider is down"


async def held_by(world: World, generation: str, attempt: int = 1) -> Pause:
    """What keeps it from starting."""
    begun = await world.ledger.begin(generation=generation, attempt=attempt, operation=operation_id())
    return the(Paused, begun).pause


async def pause(world: World, kind: PauseKind = PauseKind.MODEL, name: str = "nano-banana-2", **more: Any) -> Pause:
    return the(Pause, await world.ledger.pause(kind=kind, name=name, reason=WHY, **more))


async def resume(world: World, kind: PauseKind = PauseKind.MODEL, name: str = "nano-banana-2") -> None:
    assert await world.ledger.end_pause(kind=kind, name=name)


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (PauseKind.ACCOUNT, "ann"),
        (PauseKind.TOOL, "image"),
        (PauseKind.MODEL, "nano-banana-2"),
        (PauseKind.PROVIDER, "sandbox"),
    ],
)
async def test_what_is_paused_refuses_what_is_new_and_changes_nothing(world: World, kind: PauseKind, name: str) -> None:
    await world.account(top_up=100_000)
    accepted = await world.spend(1_000, idempotency=("k", "b"))
    pause = the(Pause, await world.ledger.pause(kind=kind, name=name, reason=WHY))
    before = await world.contents()
    assert the(Paused, await world.reserve(price=1_000)).pause == pause == Pause(kind, name, pause.since, WHY)
    assert await world.contents() == before
    the(outcomes.Replayed, await world.reserve(price=1_000, idempotency=("k", "b")))
    assert await held_by(world, accepted) == pause
    assert await world.ledger.end_pause(kind=kind, name=name)
    await world.finish(accepted)
    await world.spend(1_000)


async def test_others_are_not_paused(world: World) -> None:
    await world.account(top_up=100_000)
    await world.account("b.o-b_@", top_up=100_000)
    for kind, name in ((PauseKind.TOOL, "video"), (PauseKind.MODEL, "image"), (PauseKind.ACCOUNT, "b.o-b_@")):
        the(Pause, await world.ledger.pause(kind=kind, name=name, reason=WHY))
    await world.spend(1_000)


async def test_a_second_pause_changes_the_reason_and_a_second_end_nothing(world: World) -> None:
    await world.account()
    for kind, name in ((PauseKind.TOOL, "image"), (PauseKind.ACCOUNT, "ann")):
        first = the(Pause, await world.ledger.pause(kind=kind, name=name, reason=WHY))
        second = the(Pause, await world.ledger.pause(kind=kind, name=name, reason="still,\nno better"))
        assert second == Pause(kind, name, first.since, "still, no better")
        blank = the(Pause, await world.ledger.pause(kind=kind, name=name, reason=" \u00a0"))
        assert blank == Pause(kind, name, first.since, ""), "a blank reason is not the end of a pause"
        assert the(Paused, await world.reserve(price=1_000)).pause == blank
        assert await world.ledger.end_pause(kind=kind, name=name)
        before = await world.contents()
        assert not await world.ledger.end_pause(kind=kind, name=name)
        assert await world.contents() == before
    assert await world.ledger.pauses() == []


async def test_a_new_rate_card_ends_no_pause(world: World) -> None:
    pause = the(Pause, await world.ledger.pause(kind=PauseKind.MODEL, name="image", reason=WHY))
    await world.publish()
    assert await world.ledger.pauses() == [pause]


async def test_there_is_no_account_to_pause(world: World) -> None:
    before = await world.contents()
    the(outcomes.NotFound, await world.ledger.pause(kind=PauseKind.ACCOUNT, name="nobody", reason=WHY))
    assert await world.contents() == before


async def test_with_a_choice_what_is_new_waits_and_holds_its_credits(world: World) -> None:
    await world.account(top_up=100_000)
    await pause(world, new=NewOnes.WAIT)
    made = the(outcomes.Reserved, await world.reserve(price=1_000))
    assert (made.dispatch, made.generation.state) == (None, "queued")
    assert await world.due(made.generation.id) > await world.now() + 50 * SECOND, "no caretaker dispatches it at once"
    assert (await held_by(world, made.generation.id)).new is NewOnes.WAIT
    await pause(world, PauseKind.ACCOUNT, "ann")
    assert the(Paused, await world.reserve(price=1_000)).pause.kind is PauseKind.ACCOUNT, "refusing comes first"
    assert await world.held() == 1_000
    await world.ledger.cancel(generation=made.generation.id)
    assert await world.held() == 0


async def test_what_its_provider_works_on_goes_on(world: World) -> None:
    await world.account(top_up=100_000)
    running, handed_back = await world.running(1_000), await world.noted(1_000)
    await pause(world)
    await world.hand_back(handed_back)
    await world.begin(handed_back, 2)
    for generation, attempt in ((running, 1), (handed_back, 2)):
        await world.deliver(generation, 0, attempt=attempt)
        the(outcomes.Ended, await world.settle(generation, attempt=attempt))


async def test_the_next_attempt_without_a_job_is_held(world: World) -> None:
    generation = await world.running(1_000)
    await pause(world)
    await world.hand_back(generation)
    await held_by(world, generation, 2)


async def test_the_time_in_the_queue_stands_still(world: World) -> None:
    await world.account(top_up=100_000)
    generation = await world.spend(1_000)
    await world.later(50 * MINUTE)
    await pause(world)
    await world.later(30 * MINUTE)
    await pause(world, PauseKind.TOOL, "image")  # they overlap
    for _ in range(3):
        the(outcomes.NotDue, await world.rescue(generation))
        assert await world.due(generation) == await world.now() + MINUTE
        await world.later(10 * HOUR)
    await resume(world)
    the(outcomes.NotDue, await world.rescue(generation))
    await world.later(HOUR)
    await resume(world, PauseKind.TOOL, "image")
    dispatch = the(outcomes.Requeued, await world.rescue(generation)).dispatch
    assert await world.ledger.dispatched({generation: dispatch.deadline}) == {generation}
    assert await world.due(generation) == await world.now() + MINUTE
    await world.later(9 * MINUTE)
    dispatch = the(outcomes.Requeued, await world.rescue(generation)).dispatch
    await world.ledger.dispatched({generation: dispatch.deadline})
    assert await world.due(generation) == await world.now() + MINUTE, "ten minutes of the hour were left"
    await world.later(MINUTE)
    assert the(outcomes.Ended, await world.rescue(generation)).generation.error == "queue_timeout"


async def test_the_time_in_the_waiting_room_stands_still(world: World) -> None:
    await world.account(top_up=100_000)
    running, _, waiting = [await world.spend(1_000) for _ in range(3)]
    await world.begin(running)
    await pause(world)
    await world.later(2 * DAY)
    the(outcomes.NotDue, await world.rescue(waiting))
    await resume(world)
    await world.later(DAY - 1)
    the(outcomes.NotDue, await world.rescue(waiting))
    assert await world.due(waiting) == await world.now() + 1
    await world.later(1)
    assert the(outcomes.Ended, await world.rescue(waiting)).generation.error == "waiting_timeout"


async def test_one_that_waits_is_promoted_and_then_held(world: World) -> None:
    running, other, waiting = [await world.spend(1_000) for _ in range(3)]
    await world.begin(running)
    await pause(world)
    await world.deliver(running, 0)
    ended = the(outcomes.Ended, await world.settle(running))
    assert [one.generation for one in ended.promoted] == [waiting]
    for generation in (other, waiting):
        await held_by(world, generation)


async def test_a_pause_with_an_end_ends_by_itself(world: World) -> None:
    await world.account(top_up=100_000)
    generation = await world.spend(1_000)
    await pause(world, until=await world.now() + 2 * HOUR)
    await pause(world, PauseKind.ACCOUNT, "ann", until=await world.now() + HOUR)
    assert (await held_by(world, generation)).until == await world.now() + HOUR
    assert len(await world.ledger.pauses()) == 1
    await world.later(2 * HOUR)
    assert (await world.ledger.pauses(), (await world.look()).pause) == ([], None)
    again = await pause(world)
    assert again.since == await world.now(), "it is another pause"
    await resume(world)
    await world.later(HOUR - 1)
    the(outcomes.Requeued, await world.rescue(generation))
    await world.later(2 * SECOND)
    assert the(outcomes.Ended, await world.rescue(generation)).generation.error == "queue_timeout"


async def test_what_a_pause_with_an_end_holds_is_looked_at_when_it_ends(world: World) -> None:
    """It was looked at once a minute, and started up to a minute late."""
    ends = await world.now() + 20 * SECOND
    await world.account(top_up=100_000)
    before = await world.spend(1_000)
    await pause(world, until=ends, new=NewOnes.WAIT)
    during = await world.spend(1_000)
    await world.later(3 * SECOND)
    the(outcomes.NotDue, await world.rescue(before))
    assert [await world.due(one) for one in (before, during)] == [ends, ends]
    await world.later(17 * SECOND)
    for generation in (before, during):
        the(outcomes.Requeued, await world.rescue(generation))


async def test_former_pauses_are_bounded_in_number_and_count_as_long_as_they_are_kept(world: World) -> None:
    await world.account(top_up=100_000)
    generation = await world.spend(1_000)
    for _ in range(30):
        await pause(world)
        await world.later(10 * MINUTE)
        await resume(world)
        await world.later(MINUTE)
    (former,) = [
        text for name, text in (await world.ledger.published()).items() if name == "paused:model:nano-banana-2"
    ]
    assert len(former.split(",")) == 20
    the(outcomes.Requeued, await world.rescue(generation))


@pytest.mark.cluster
async def test_only_queued_ones_are_looked_at_again(world: World) -> None:
    await world.account(top_up=100_000)
    running, queued, waiting = [await world.spend(1_000) for _ in range(3)]
    await world.begin(running)
    before = {one: await world.due(one) for one in (running, waiting)}
    gone = await world.fail(await world.spend(1_000, tool="video"))
    assert await world.ledger.recheck([running, queued, waiting, gone.generation.id]) == 1
    assert await world.due(queued) <= await world.now()
    assert {one: await world.due(one) for one in (running, waiting)} == before
    assert await world.ledger.recheck([queued]) == 0


async def test_a_pause_of_before_had_no_choice_and_no_end(world: World) -> None:
    """Written by a version without them: the reason may begin with a word of ours."""
    at = await world.now()
    for partition in range(world.ledger.partitions):
        await world.redis.hset(f"{{fb{partition:02x}}}:policy", "pause:tool:image", f"{at}, wait until 5,please")
    expected = Pause(PauseKind.TOOL, "image", at, " wait until 5,please")
    assert await world.ledger.pauses() == [expected]
    assert the(Paused, await world.reserve(price=1_000)).pause == expected
