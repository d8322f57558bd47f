"""R26: however many ask at once, of whichever gateway, a limit is never passed and never counted twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.domain import Bucket, FailureCode, LimitPeriod, Scope, member_id, operation_id
from gateway.ledger import outcomes
from gateway.ledger.accounts import key_id_of
from gateway.ledger.limits import Counter as Spent
from gateway.ledger.limits import Limit, LimitReached, today
from tests.api.visitor import SKETCH, Visitor, open_gateway
from tests.ledger.world import FREE, World, the, utc
from tests.lengths import LONG

RACERS = 200
PRICE = 60_000
ONE = Limit(PRICE, LimitPeriod.DAILY)
ROUNDS = pytest.mark.parametrize(
    "rounds", [pytest.param(1, id="short"), pytest.param(20, id="long", marks=pytest.mark.long)]
)
LEVELS = {
    "key": ("key", LimitReached), "member": ("member", LimitReached), "pool": ("", outcomes.InsufficientCredits),
    "all": ("", outcomes.InsufficientCredits), "key and member": ("key", LimitReached),
}  # fmt: skip
"""Where there is room for one only: who says so, and how. An empty pool outranks a limit, and a key its member."""


async def keys_of_a_member(world: World, account: str, level: str) -> list[str]:
    """Two keys of a new member of a new account, each with what `level` leaves room for; if it is a key's, one key."""
    await world.account(account)
    bucket = {"operation": operation_id(), "bucket": Bucket.FREE, "reason": "a test"}
    change = -40_000 if level in {"pool", "all"} else 900_000_000
    the(outcomes.Applied, await world.ledger.adjust(account=account, millicredits=change, **bucket))  # type: ignore[arg-type]
    member = member_id()
    limit = ONE if "member" in level or level == "all" else None
    await world.ledger.add_member(account=account, member=member, name="Ada", limit=limit)
    by_key = "key" in level or level == "all"
    made = []
    for number in range(1 if by_key else 2):
        secret = f"fbx_{account}_{number}"
        await world.ledger.add_key(
            key=secret, scope=Scope.ACCOUNT, account=account, label=None, member=member, limit=ONE if by_key else None
        )
        made.append(key_id_of(secret))
    return made


def counters_of(account: outcomes.Account) -> dict[str, Spent]:
    """By key or member, what they have spent."""
    of_keys = {key.id: key.counter for key in account.keys if key.counter}
    return of_keys | {member.id: member.counter for member in account.members if member.counter}


@ROUNDS
@pytest.mark.parametrize("level", LEVELS)
async def test_of_200_where_there_is_room_for_one_exactly_one_wins(
    worlds: list[World], level: str, rounds: int
) -> None:
    whose, refusal = LEVELS[level]
    for number in range(rounds):
        account = f"limited-{number}"
        keys = await keys_of_a_member(worlds[0], account, level)
        answers = await asyncio.gather(
            *(
                worlds[index % len(worlds)].reserve(account, price=PRICE, key=keys[index % len(keys)])
                for index in range(RACERS)
            )
        )
        assert Counter(type(answer) for answer in answers) == {outcomes.Reserved: 1, refusal: RACERS - 1}
        assert {answer.whose for answer in answers if isinstance(answer, LimitReached)} == ({whose} - {""})
        found = await worlds[0].look(account)
        assert sum(found.held_millicredits.values()) == PRICE
        assert {counter.by_period[LimitPeriod.DAILY] for counter in counters_of(found).values()} == {PRICE}


@ROUNDS
async def test_of_200_calls_of_two_gateways_exactly_one_is_accepted(
    redis_url: str, tmp_path: Path, rounds: int
) -> None:
    """A limit of the key, one of its member, and the account's credits, each with room for one."""
    async with open_gateway(redis_url, tmp_path) as one, open_gateway(redis_url, tmp_path) as other:
        for number in range(rounds):
            key = await a_member_with_20_credits(one, f"racer-{number}")
            body = SKETCH | {"outputs": 4}
            replies = await asyncio.gather(
                *((one, other)[index % 2].call("POST", "/v1/generations", key, body) for index in range(RACERS))
            )
            assert Counter(reply.status for reply in replies) == {202: 1, 402: RACERS - 1}
            assert {reply.code for reply in replies if reply.status == 402} == {"insufficient_credits"}
            balance = (await other.call("GET", "/v1/balance", key)).body
            assert (balance["available"], balance["held"]) == (0, 20)
            assert (await other.call("GET", "/v1/key", key)).body["usage_daily"] == 20


async def a_member_with_20_credits(gateway: Visitor, account: str) -> str:
    """A key of a member, both with a limit of 20 credits, of an account that has no more."""
    await gateway.account(account)
    path, limit = f"/v1/admin/accounts/{account}", {"limit": {"credits": 20, "period": "daily"}}
    taken = {"bucket": "free", "credits": -80, "reason": "a test"}
    assert (await gateway.call("POST", f"{path}/adjustments", gateway.admin, taken)).status == 201
    member = (await gateway.call("POST", f"{path}/members", gateway.admin, {"name": "Ada", **limit})).body["id"]
    made: Any = (await gateway.call("POST", f"{path}/keys", gateway.admin, {"member": member, **limit})).body
    return str(made["key"])


@pytest.mark.parametrize("end", ["delivered", "failed", "cancelled"])
@pytest.mark.parametrize("level", ["key", "member"])
async def test_at_midnight_with_hundreds_in_flight_nothing_is_negative_or_counted_twice(
    worlds: list[World], level: str, end: str
) -> None:
    """With LONG=1, a thousand: 400 that are reserved before midnight end while 600 are reserved as it passes."""
    before, after = (400, 600) if LONG else (40, 60)
    world, limit = worlds[0], Limit(before * 1_000, LimitPeriod.DAILY)
    await world.account(top_up=1_000_000_000)
    await world.advance_to(utc("2031-10-15 09:00"))
    await world.publish(free=replace(FREE, concurrency={"image": 2 * (before + after)}))
    member = member_id()
    await world.ledger.add_member(account="ann", member=member, name="Ada", limit=limit if level == "member" else None)
    for secret in ("fbx_0", "fbx_1"):
        own = {"account": "ann", "member": member, "limit": limit if level == "key" else None}
        await world.ledger.add_key(key=secret, scope=Scope.ACCOUNT, label=None, **own)  # type: ignore[arg-type]
    keys = [key_id_of("fbx_0")] if level == "key" else [key_id_of("fbx_0"), key_id_of("fbx_1")]

    async def reserve(index: int) -> object:
        return await worlds[index % len(worlds)].reserve(price=1_000, key=keys[index % len(keys)])

    async def finish(index: int, generation: str) -> None:
        by = worlds[index % len(worlds)]
        if end == "delivered":
            await by.deliver(generation, 0)
        if end == "cancelled":
            await by.ledger.cancel(generation=generation)
        await by.settle(generation, FailureCode.PROVIDER_REJECTED if end == "failed" else None)

    late = [the(outcomes.Reserved, await reserve(index)).generation.id for index in range(before)]
    for each in late:
        await world.begin(each)
    answers, *_ = await asyncio.gather(
        asyncio.gather(*(reserve(index) for index in range(after))),
        asyncio.gather(*(finish(index, each) for index, each in enumerate(late))),
        world.advance_to(utc("2031-10-16 00:00")),
    )
    again = await asyncio.gather(*(reserve(index) for index in range(after)))
    assert {type(answer) for answer in [*answers, *again]} <= {outcomes.Reserved, LimitReached}
    account = await world.look()
    day = today(account.now, "UTC", account.day)
    counters = counters_of(account)
    limited = counters[member if level == "member" else keys[0]]
    assert limited.used_millicredits(LimitPeriod.DAILY, day) == before * 1_000, (
        "the new day's limit, to the last credit"
    )
    assert min(sum_ for counter in counters.values() for sum_ in counter.by_period.values()) >= 0
