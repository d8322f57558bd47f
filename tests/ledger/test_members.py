"""R25: an account's members: one owner, admins and members, their keys, what they may change, and how they leave."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from gateway.domain import Interval, LimitPeriod, Role, Scope, member_id, operation_id
from gateway.ledger import keys, outcomes
from gateway.ledger.accounts import key_id_of
from gateway.ledger.key_records import AccountKey, KeyRecord
from gateway.ledger.limits import Limit, LimitReached
from gateway.ledger.member_records import Member
from tests.ledger.world import FREE, POLICY, World, the

TEN = Limit(10_000, LimitPeriod.DAILY)


async def add(world: World, name: str, role: Role | None = None, limit: Limit | None = None) -> str:
    """A member of ann's; their id."""
    member = member_id()
    made = await world.ledger.add_member(account="ann", member=member, name=name, role=role, limit=limit)
    assert member in {one.id for one in the(outcomes.Account, made).members}
    return member


async def key_of(world: World, member: str | None, secret: str) -> str:
    """A key of a member's, or of ann's own; its id."""
    made = await world.ledger.add_key(key=secret, scope=Scope.ACCOUNT, account="ann", label=None, member=member)
    return the(AccountKey, made).id


async def team(world: World) -> dict[str, str]:
    """The ids of an owner, two admins and two members, by name."""
    await world.account(top_up=1_000_000)
    named = {"owner": Role.OWNER, "admin": Role.ADMIN, "other admin": Role.ADMIN, "member": Role.MEMBER}
    return {name: await add(world, name, role) for name, role in {**named, "other": Role.MEMBER}.items()}


async def members(world: World) -> Mapping[str, Member]:
    return {member.name: member for member in (await world.look()).members}


@pytest.mark.cluster
async def test_the_first_member_is_the_owner_and_there_is_exactly_one(world: World) -> None:
    await world.account()
    add_member = world.ledger.add_member
    admin_first = await add_member(account="ann", member=member_id(), name="x", role=Role.ADMIN)
    assert admin_first == outcomes.Refused("needs_owner", "")
    ada = await add(world, "Ada")
    assert (await members(world))["Ada"] == Member(
        ada, "Ada", Role.OWNER, created_at=(await members(world))["Ada"].created_at
    )
    assert await add_member(account="ann", member=member_id(), name="x", role=Role.OWNER) == outcomes.Refused(
        "has_owner", ada
    )
    bob = await add(world, "Bob")
    assert (await members(world))["Bob"].role is Role.MEMBER
    before = await members(world)
    the(outcomes.Account, await add_member(account="ann", member=bob, name="Robert"))
    assert await members(world) == before, "sent twice, it is added once"
    handed = the(outcomes.Account, await world.ledger.hand_over(account="ann", member=bob))
    assert {member.name: member.role for member in handed.members} == {"Ada": Role.ADMIN, "Bob": Role.OWNER}
    changed = await world.ledger.change_member(account="ann", member=bob, role=Role.MEMBER)
    assert changed == outcomes.Refused("needs_owner", bob)
    assert await world.ledger.remove_member(account="ann", member=bob) == outcomes.Refused("owner_stays", "")
    the(outcomes.Account, await world.ledger.remove_member(account="ann", member=ada))
    the(outcomes.Account, await world.ledger.remove_member(account="ann", member=bob))
    assert (await members(world))["Bob"].removed_at, "the last one may go, and with them the team"
    assert await add_member(account="nobody", member=member_id(), name="x") == outcomes.NotFound()


@pytest.mark.cluster
async def test_a_key_of_a_member_says_whose_it_is_and_what_they_may_do(world: World) -> None:
    """So do the generations it makes, whatever becomes of the key and the member."""
    who = await team(world)
    key = await key_of(world, who["member"], "fbx_theirs")
    own = await key_of(world, None, "fbx_own")
    record = KeyRecord(key, Scope.ACCOUNT, "ann", 0, member=who["member"], role=Role.MEMBER)
    assert await world.ledger.find_key(key="fbx_theirs") == record
    assert await world.ledger.find_key(key="fbx_own") == KeyRecord(own, Scope.ACCOUNT, "ann", 0)
    made, other = await world.spend(key=key), await world.spend(key=own)
    the(outcomes.Account, await world.ledger.change_member(account="ann", member=who["member"], role=Role.ADMIN))
    now = the(KeyRecord, await world.ledger.find_key_by_id(key_id=key))
    assert (now.role, now.keys_version) == (Role.ADMIN, 1), "gateways ask again"
    stale = await world.ledger.change_member(account="ann", member=who["other"], name="x", keys_version=0)
    assert stale == outcomes.KeysChanged()
    successor = await world.ledger.rotate_key(account="ann", key_id=key, successor="fbx_new", overlap_ms=0)
    assert {one.id: one.member for one in the(outcomes.Account, successor).keys} == {
        key: who["member"], key_id_of("fbx_new"): who["member"], own: None
    }  # fmt: skip
    the(outcomes.Account, await world.ledger.remove_member(account="ann", member=who["member"]))
    for secret in ("fbx_theirs", "fbx_new"):
        assert await world.ledger.find_key(key=secret) == outcomes.NotFound()
        assert await world.ledger.command("EXISTS", keys.key(key_id_of(secret))) == 0
    assert isinstance(await world.ledger.find_key(key="fbx_own"), KeyRecord)
    assert [(await world.generation(one)).member for one in (made, other)] == [who["member"], None]
    await world.finish(made)
    fields = await world.ledger.command("HKEYS", world.ledger.account_key("ann"))
    left = [name.decode() for name in fields if key in name.decode() or who["member"] in name.decode()]
    assert left == [f"member:{who['member']}"], "only the name is kept"
    again = await world.ledger.add_key(
        key="fbx_x", scope=Scope.ACCOUNT, account="ann", label=None, member=who["member"]
    )
    assert again == outcomes.Refused("unknown_member", "")


@pytest.mark.cluster
async def test_r26_a_members_limit_counts_all_their_keys_together(world: World) -> None:
    await world.account(top_up=1_000_000)
    await world.publish(free=world.policy.plans["pro"])
    await add(world, "owner")
    member = await add(world, "Ada", limit=TEN)
    one, other = [await key_of(world, member, secret) for secret in ("fbx_one", "fbx_other")]
    limited = await world.ledger.change_key(account="ann", key_id=other, limit=Limit(5_000, LimitPeriod.DAILY))
    the(outcomes.Account, limited)
    first = await world.spend(4_000, key=one)
    await world.spend(3_000, key=other)
    before = await world.contents()
    assert the(LimitReached, await world.reserve(price=4_000, key=one)).whose == "member"
    assert the(LimitReached, await world.reserve(price=2_500, key=other)).whose == "key"
    reached = the(LimitReached, await world.reserve(price=3_001, key=one))
    assert (reached.limit, reached.used_millicredits) == (TEN, 7_000)
    assert await world.contents() == before, "what one level refuses is counted at none"
    await world.fail(first)
    await world.spend(7_000, key=one)
    assert await world.ledger.revoke_key(key_id=one, account="ann") is True
    assert the(LimitReached, await world.reserve(price=1, key=other)).whose == "member", "a revoked key makes no room"
    raised = await world.ledger.change_member(account="ann", member=member, limit=Limit(12_000, LimitPeriod.WEEKLY))
    assert {one.limit for one in the(outcomes.Account, raised).members} == {None, Limit(12_000, LimitPeriod.WEEKLY)}
    await world.spend(2_000, key=other)
    the(outcomes.Account, await world.ledger.change_member(account="ann", member=member, limit="none"))
    await world.ledger.change_key(account="ann", key_id=other, limit="none")
    open_one = await world.spend(50_000, key=other)
    the(outcomes.Account, await world.ledger.remove_member(account="ann", member=member))
    await world.finish(open_one)


class Team:
    """What a member (`by`) asks for, to whom: each of the team, or the account itself, has a key."""

    def __init__(self, world: World, who: Mapping[str, str], key_ids: Mapping[str, str], by: str) -> None:
        self.world, self.who, self.key_ids, self.by = world, who, key_ids, by

    async def add(self, role: str) -> object:
        return await self.world.ledger.add_member(
            account="ann", member=member_id(), name="new", role=Role(role), by=self.by
        )

    async def change(self, target: str, **changes: Any) -> object:
        return await self.world.ledger.change_member(account="ann", member=self.who[target], by=self.by, **changes)

    async def rename(self, target: str) -> object:
        return await self.change(target, name="renamed")

    async def limit(self, target: str) -> object:
        return await self.change(target, limit=TEN)

    async def promote(self, target: str) -> object:
        return await self.change(target, role=Role.ADMIN)

    async def demote(self, target: str) -> object:
        return await self.change(target, role=Role.MEMBER)

    async def hand_over(self, target: str) -> object:
        return await self.world.ledger.hand_over(account="ann", member=self.who[target], by=self.by)

    async def remove(self, target: str) -> object:
        return await self.world.ledger.remove_member(account="ann", member=self.who[target], by=self.by)

    async def add_key(self, target: str) -> object:
        return await self.world.ledger.add_key(
            key="fbx_new", scope=Scope.ACCOUNT, account="ann", label=None, member=self.who.get(target), by=self.by
        )

    async def rotate_key(self, target: str) -> object:
        return await self.world.ledger.rotate_key(
            account="ann", key_id=self.key_ids[target], successor="fbx_next", overlap_ms=0, by=self.by
        )

    async def change_key(self, target: str) -> object:
        return await self.world.ledger.change_key(
            account="ann", key_id=self.key_ids[target], label="renamed", by=self.by
        )

    async def revoke_key(self, target: str) -> object:
        return await self.world.ledger.revoke_key(account="ann", key_id=self.key_ids[target], by=self.by)


OWNER, ADMINS, ALL = {"owner"}, {"owner", "admin"}, {"owner", "admin", "member"}
ALLOWED = [
    (Team.add, "admin", OWNER), (Team.add, "member", ADMINS),
    (Team.rename, "member", ALL), (Team.rename, "admin", ADMINS), (Team.rename, "other admin", OWNER),
    (Team.rename, "other", ADMINS), (Team.rename, "owner", OWNER),
    (Team.limit, "member", ADMINS), (Team.limit, "admin", OWNER), (Team.limit, "owner", OWNER),
    (Team.promote, "member", OWNER), (Team.promote, "other", OWNER),
    (Team.demote, "admin", OWNER), (Team.demote, "other admin", OWNER), (Team.hand_over, "member", OWNER),
    (Team.remove, "other admin", OWNER), (Team.remove, "other", ADMINS),
    (Team.add_key, "member", ALL), (Team.add_key, "admin", ADMINS), (Team.add_key, "owner", OWNER),
    (Team.add_key, "account", OWNER), (Team.rotate_key, "member", ALL), (Team.rotate_key, "other admin", OWNER),
    (Team.rotate_key, "account", OWNER), (Team.change_key, "other", ADMINS), (Team.change_key, "other admin", OWNER),
    (Team.change_key, "account", ADMINS), (Team.revoke_key, "other", ADMINS), (Team.revoke_key, "owner", OWNER),
    (Team.revoke_key, "account", ADMINS),
]  # fmt: skip
"""What is done, to whom, and who may do it. Which calls a role may make at all is the table of routes'."""


@pytest.mark.parametrize("by", [Role.OWNER, Role.ADMIN, Role.MEMBER])
async def test_each_role_changes_what_it_may_and_nobody_above_it(world: World, by: Role) -> None:
    who = await team(world)
    key_ids = {name: await key_of(world, who.get(name), f"fbx_{name}") for name in [*who, "account"]}
    asks = Team(world, who, key_ids, who[by])
    account = world.ledger.account_key("ann")
    as_it_was = await world.redis.dump(account)
    for action, target, may in ALLOWED:
        before = await world.contents()
        outcome = await action(asks, target)
        if by in may:
            assert not isinstance(outcome, outcomes.Refused | outcomes.NotFound), (action, target)
            await world.redis.restore(account, 0, as_it_was, replace=True)
        else:
            assert outcome == outcomes.Refused("forbidden", ""), (action, target)
            assert await world.contents() == before


async def test_members_are_listed_as_they_came_also_within_one_millisecond(world: World) -> None:
    await world.account()
    ids = [member_id() for _ in range(40)]
    await asyncio.gather(*(world.ledger.add_member(account="ann", member=one, name=one) for one in ids))
    assert [one.id for one in (await world.look()).members] == ids


@pytest.mark.cluster
async def test_a_plans_seats_are_kept_by_adding_and_by_changes_of_plan(world: World) -> None:
    """Whoever would have to go is named: by role, then by time."""
    plans = {name: replace(POLICY.plans[name], seats=seats) for name, seats in (("standard", 4), ("pro", 2))}
    await world.publish(plans=plans)
    who = await team(world)
    refused = the(outcomes.Refused, await world.ledger.subscribe(
        account="ann", plan="pro", interval=Interval.MONTHLY, operation=operation_id()
    ))  # fmt: skip
    gone = ["other admin", "member", "other"]
    assert refused == outcomes.Refused("too_few_seats", "\n".join(["2", *(f"{who[name]} {name}" for name in gone)]))
    the(outcomes.Account, await world.ledger.remove_member(account="ann", member=who["other"]))
    await world.subscribe(plan="standard")

    async def added() -> object:
        return await world.ledger.add_member(account="ann", member=member_id(), name="new")

    assert await added() == outcomes.Refused("no_seat", "standard 4")
    before = await world.contents()
    for when in ("now", "period_end"):
        changed = await world.ledger.change(
            account="ann", operation=operation_id(), plan="pro", interval=None, when=when
        )
        assert the(outcomes.Refused, changed).reason == "too_few_seats"
    assert await world.contents() == before
    for name in ("member", "other admin"):
        the(outcomes.Account, await world.ledger.remove_member(account="ann", member=who[name]))
    scheduled = await world.ledger.change(
        account="ann", operation=operation_id(), plan="pro", interval=None, when="period_end"
    )
    the(outcomes.Applied, scheduled)
    assert await added() == outcomes.Refused("no_seat", "pro 2"), "the plan to come has no seat for them"
    await world.publish(plans=POLICY.plans)
    the(outcomes.Account, await added())
    await world.publish(free=replace(FREE, seats=1), plans=POLICY.plans)
    await world.ledger.unsubscribe(account="ann", operation=operation_id(), when="now")
    assert len([one for one in (await world.look()).members if not one.removed_at]) == 3, "time removes nobody"
    assert await added() == outcomes.Refused("no_seat", "free 1")


async def test_500_members_are_kept_and_of_former_ones_who_left_first_is_forgotten(world: World) -> None:
    await world.account()
    owner, account = await add(world, "owner"), world.ledger.account_key("ann")
    former = {f"member:{member_id()}": f"{at},member,{at},x" for at in range(1, 499)}
    await world.redis.hset(account, mapping=former | {"member:first": "600,member,0,x"})
    new = await add(world, "new")
    kept = {member.id for member in (await world.look()).members}
    assert len(kept) == 500
    assert {owner, new} < kept
    assert "first" not in kept
    await world.redis.hset(account, mapping=dict.fromkeys(former, "1,member,,x"))
    refused = await world.ledger.add_member(account="ann", member=member_id(), name="one too many")
    assert refused == outcomes.Refused("too_many_members", "")
