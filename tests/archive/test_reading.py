"""What is only in the archive is read by the same calls, with the same answers; pages across the boundary are whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from gateway.archive.reading import ArchiveReader
from gateway.domain import Scope, State, generation_id, member_id, partition_of_account
from gateway.ledger import keys, outcomes
from gateway.ledger.accounts import key_id_of
from gateway.ledger.audit import audit
from gateway.ledger.audit_log import CallFilter, LoggedCall, OperatorCall
from gateway.ledger.ledger import Ledger
from gateway.ledger.older import OlderFilter
from gateway.ledger.older_lists import ListRead
from tests.archive.archived import Archived
from tests.ledger.world import PARTITIONS, World, the

PARTITION = partition_of_account("ann", PARTITIONS)
KEY, OTHER_KEY = "fbx_of-ann", "fbx_of-bob"
PAST = 30
MEMBER = member_id("ann")
EVERY = OlderFilter(state=None, tool=None, model=None, key=None, tags={}, metadata={}, words=())


@pytest.fixture
async def past(archived: Archived) -> AsyncIterator[Archived]:
    """A past of thirty generations of all kinds, which the archive has and the ledger still has."""
    world = archived.world
    await world.ledger.add_member(account="ann", member=MEMBER, name="Ann")
    await world.ledger.add_key(key=KEY, scope=Scope.ACCOUNT, account="ann", label=None, member=MEMBER)
    await world.ledger.add_key(key=OTHER_KEY, scope=Scope.ACCOUNT, account="ann", label=None)
    for number in range(PAST):
        await one(world, number)
    await archived.copy()
    yield archived
    if isinstance(world.ledger.older, ArchiveReader):
        await world.ledger.older.close()


async def one(world: World, number: int) -> None:
    generation = await world.spend(
        0 if number % 7 == 0 else 100 + number,
        key=key_id_of(KEY if number % 3 else OTHER_KEY),
        prompt=f"A Lighthouse number {number}",
        tags={"project": "apollo" if number % 4 else "gemini"},
        metadata={"order": number % 5, "paid": number % 2 == 0, "name": "x"},
    )
    await (world.fail(generation) if number % 5 == 0 else world.finish(generation))


async def trim(archived: Archived) -> None:
    """Leave in Redis only what must stay. The audit is clean; the tests' own invariants need all generations."""
    archived.world.holds = False
    archived.world.ledger.older = ArchiveReader(archived.archivist.url)
    await archived.world.publish(keep_archived_ms=0)
    while await archived.world.ledger.trim(account="ann", at_most=200):
        pass
    assert not (await audit(archived.world.ledger)).differences


async def walk(call: Any, **filters: Any) -> list[Any]:
    """All pages, each as it came."""
    pages, before = [], None
    while True:
        page = the(outcomes.Page, await call(account="ann", keys_version=None, before=before, **filters))
        pages.append(page)
        before = page.next
        if before is None:
            return pages


async def everything(world: World) -> dict[str, Any]:
    """Every read call's answers, by what was asked."""
    ledger = world.ledger
    first = the(outcomes.Page, await ledger.generations(account="ann", keys_version=None, limit=100)).data
    middle = first[len(first) // 2].created_at
    listed: list[dict[str, Any]] = [
        {}, {"state": State.FAILED}, {"tool": "video"}, {"model": "nano-banana-2"}, {"key": key_id_of(KEY)},
        {"member": MEMBER}, {"tags": {"project": "gemini"}}, {"metadata": {"order": "2"}},
        {"metadata": {"order": "2.0", "paid": "true"}}, {"words": ["lighthouse", "number 1"]},
        {"words": ["project:apollo"]}, {"created_after": middle}, {"created_before": middle},
        {"created_after": middle, "state": State.SUCCEEDED},
    ]  # fmt: skip
    moved: list[dict[str, Any]] = [
        {}, {"kind": "commit"}, {"generation": first[3].id}, {"key": key_id_of(KEY)}, {"member": MEMBER},
        {"created_after": middle}, {"created_before": middle},
    ]  # fmt: skip
    found: dict[str, Any] = {}
    for limit in (1, 7, 100):
        for filters in listed:
            found[f"generations {limit} {filters}"] = await walk(ledger.generations, limit=limit, **filters)
        for filters in moved:
            found[f"journal {limit} {filters}"] = await walk(ledger.journal, limit=limit, **filters)
    for one in first:
        found[one.id] = await ledger.generation(generation=one.id, account="ann")
        found[f"{one.id} of Ann"] = await ledger.generation(generation=one.id, account="ann", member=MEMBER)
        found[f"{one.id} of bob"] = await ledger.generation(generation=one.id, account="bob")
    day = [name.rpartition(":")[2] for name in await world.contents() if ":usage:ann:" in name]
    days = sorted({*day, "2026-11-30"}) if day else found.get("days", [])
    for by in (None, "key", "tag"):
        found[f"usage {by}"] = await ledger.usage(
            account="ann", keys_version=None, days=days or DAYS, by=by, tag="project" if by == "tag" else None
        )
    DAYS[:] = days or DAYS
    return found


DAYS: list[str] = []


async def test_every_read_answers_the_same_from_the_archive(past: Archived) -> None:
    world = past.world
    before = await everything(world)
    await trim(past)
    usage = [name for name in await world.contents() if ":usage" in name]
    await world.redis.delete(*usage)
    assert await world.redis.zcard(keys.recent(PARTITION, "ann")) == 0
    assert await world.redis.llen(keys.journal(PARTITION, "ann")) == 1
    after = await everything(world)
    for question, answer in before.items():
        assert after[question] == answer, question


async def test_pages_across_the_boundary_are_whole(past: Archived) -> None:
    world = past.world
    await trim(past)
    for number in range(PAST, PAST + 9):
        await one(world, number)
    ids = [entry.id for page in await walk(world.ledger.journal, limit=4) for entry in page.data]
    assert ids == list(range(len(ids), 0, -1))
    listed = [one for page in await walk(world.ledger.generations, limit=4) for one in page.data]
    assert len({one.id for one in listed}) == PAST + 9
    assert [one.created_at for one in listed] == sorted((one.created_at for one in listed), reverse=True)
    await past.copy()
    again = [one.id for page in await walk(world.ledger.generations, limit=4) for one in page.data]
    assert again == [one.id for one in listed]


async def test_a_list_that_is_trimmed_while_it_is_read_repeats_nothing(past: Archived) -> None:
    world = past.world
    first = the(outcomes.Page, await world.ledger.generations(account="ann", keys_version=None, limit=3))
    await world.spend()
    reader = ArchiveReader(past.archivist.url)
    world.ledger.older = reader
    rest = the(
        outcomes.Page, await world.ledger.generations(account="ann", keys_version=None, limit=100, before=first.next)
    )
    page: outcomes.Page[outcomes.Generation] = outcomes.Page((), None)  # read before what follows was trimmed
    await trim(past)
    asked = ListRead("ann", None, None, 100, first.next, None, None)
    again = the(outcomes.Page, await world.ledger.older_generations(asked, page, EVERY))
    assert [one.id for one in again.data] == [one.id for one in rest.data]
    await reader.close()


async def test_what_neither_has_is_not_found(past: Archived) -> None:
    await trim(past)
    unknown = generation_id(PARTITION)
    assert isinstance(await past.world.ledger.generation(generation=unknown), outcomes.NotFound)
    page = await past.world.ledger.generations(account="ann", keys_version=None, limit=1, before=unknown)
    assert isinstance(page, outcomes.NotFound)


async def test_the_audit_log_goes_on_in_the_archive(archived: Archived) -> None:
    ledger = archived.world.ledger
    for number in range(12):
        call = OperatorCall(request=f"req_{number}", key="root", address="::1", action="grantCredits")
        begun = await ledger.log_call(call)
        await ledger.log_call(replace(call, status=200, after={"zeta": 1, "a": 2}), begun=begun)
    before = await logged(ledger)
    assert len(before) == 12
    await archived.copy()
    await archived.world.publish(keep_archived_ms=0)
    await ledger.log_call(OperatorCall(request="req_new", key="root", address="::1", action="grantCredits"))
    await archived.copy()
    assert await archived.world.redis.zcard(keys.AUDIT_LOG) <= 1, "what is copied may go"
    ledger.older = ArchiveReader(archived.archivist.url)
    after = await logged(ledger)
    assert [one for one in after if one.call.request != "req_new"] == before
    assert len(after) == 13
    await ledger.older.close()


async def logged(ledger: Ledger) -> list[LoggedCall]:
    found: list[LoggedCall] = []
    following: str | None = None
    while True:
        page = await ledger.audit_log(limit=5, before=following, only=CallFilter())
        found += page.data
        following = page.next
        if following is None:
            return found
