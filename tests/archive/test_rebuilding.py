"""A ledger made from the archive has the same balances, and its audit is clean."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.archive import rebuilding, restoring
from gateway.archive.rebuilding import Rebuild
from gateway.archive.restoring import as_of
from gateway.archive.rows import moment
from gateway.domain import Bucket, Scope, State, member_id, partition_of_generation
from gateway.errors import LedgerBroken, RebuildRefused
from gateway.ledger import keys, outcomes
from gateway.ledger.accounts import key_id_of
from gateway.ledger.audit import audit
from tests.archive.archived import Archived, old
from tests.ledger.world import DAY, FREE, World, the

ACCOUNTS = [f"acc-{number}" for number in range(10)]


async def a_life(world: World, *, listens: bool = False) -> dict[str, str]:
    """Accounts with all that is to come back; the open generations by what they do."""
    world.holds = False  # events and the margin do not come back, so the invariants miss some: the audit decides
    for number, account in enumerate(ACCOUNTS):
        await world.account(account, top_up=50_000, plan="standard" if number % 3 == 0 else None)
        await world.finish(await world.spend(1_000, account))
        await world.fail(await world.spend(2_000, account))
    ledger, member = world.ledger, member_id("ann")
    await ledger.put_account(account="acc-1", email="ann@example.com", metadata={"a": 1})
    await ledger.add_member(account="acc-1", member=member, name="Ann")
    await ledger.add_key(key="fbx_of-ann", scope=Scope.ACCOUNT, account="acc-1", label="laptop", member=member)
    await ledger.add_key(key="fbx_ops", scope=Scope.OPS, account=None, label="ops")
    if listens:
        await world.listen("acc-1")
    await world.finish(await world.spend(500, "acc-1", key=key_id_of("fbx_of-ann"), tags={"project": "apollo"}))
    found = {"queued": await world.spend(700, "acc-1", key=key_id_of("fbx_of-ann"))}
    found["running"] = await world.running(800, account="acc-2")
    for _ in range(3):
        found["waiting"] = await world.spend(900, "acc-4", tool="video")
    for account in ("acc-1", "acc-2", "acc-4"):
        await world.grant(account)  # a hold alone is copied with what follows it
    return found


async def balances(world: World) -> dict[str, Any]:
    return {
        one: (await world.available(one), await world.held(one), [e.id for e in await world.journal(one)])
        for one in ACCOUNTS
    }


async def rebuilt(archived: Archived, **more: Any) -> Any:
    world = archived.world
    rebuild = Rebuild(world.ledger, archived.archivist.url, world.policy, await world.now())
    return await rebuild.run(**more)


async def test_balances_and_all_that_belongs_to_accounts_come_back(archived: Archived) -> None:
    world = archived.world
    found = await a_life(world, listens=True)
    before, look = await balances(world), await world.look("acc-1")
    totals = await world.ledger.totals()
    usage = await world.ledger.usage(account="acc-1", keys_version=None, days=[_today(await world.now())], by="key")
    await archived.copy()
    await empty(world)
    done = await rebuilt(archived)
    assert (done.accounts, done.incomplete, done.cut, done.open) == (len(ACCOUNTS) + 1, 0, 0, 5)
    await world.ledger.start()
    assert await balances(world) == before
    assert not (report := await audit(world.ledger)).differences, report
    again = await world.look("acc-1")
    assert (again.members, again.keys, again.email, again.metadata) == (
        look.members,
        look.keys,
        look.email,
        look.metadata,
    )
    assert (await world.ledger.totals()).open == totals.open
    assert (await world.ledger.totals()).held_millicredits == totals.held_millicredits
    assert (
        await world.ledger.usage(account="acc-1", keys_version=None, days=[_today(await world.now())], by="key")
        == usage
    )
    assert the(outcomes.Account, await world.ledger.find_account(email="ann@example.com")).id == "acc-1"
    assert not isinstance(await world.ledger.find_key(key="fbx_of-ann"), outcomes.NotFound)
    assert not isinstance(await world.ledger.find_key(key="fbx_ops"), outcomes.NotFound)
    assert len(await world.ledger.webhooks(account="acc-1")) == 1
    await goes_on(archived, found)


async def goes_on(archived: Archived, found: dict[str, str]) -> None:
    """Open generations end as they would have, and what follows is copied without a gap."""
    world = archived.world
    await world.finish(found["queued"])
    waiting = await world.generation(found["waiting"])
    assert waiting.state is State.WAITING
    await world.rescue(found["running"])
    assert (await world.generation(found["running"])).state is State.QUEUED
    await world.finish(await world.spend(100, "acc-3"))
    await archived.copy()
    for account in ACCOUNTS:
        assert await archived.entries(account) == await archived.journal(account)
    assert not (await audit(world.ledger)).differences


def _today(now: int) -> str:
    return f"{moment(now):%Y-%m-%d}"


async def empty(world: World) -> None:
    names = list(await world.contents())
    for name in names:
        await world.redis.delete(name)


async def test_outputs_are_deleted_though_only_the_archive_has_their_generation(archived: Archived) -> None:
    """They stayed for ever: a rebuilt ledger knew only of outputs of the generations that came back."""
    world = archived.world
    world.holds = False
    await world.publish(keep_archived_ms=7 * DAY, free=replace(FREE, outputs_kept_ms=90 * DAY))
    made = await old(world, 45)
    ended = {one: (await world.generation(one)).outputs_expire_at for one in made}
    await world.publish(free=replace(FREE, outputs_kept_ms=10 * DAY))
    await old(world, 45)  # deleted a month ago, and nobody could note it
    await archived.copy()
    await empty(world)
    await rebuilt(archived)
    assert not await world.redis.exists(*map(world.ledger.generation_key, made))
    partition = partition_of_generation(made[0])
    due = await world.redis.zrange(keys.outputs(partition), 0, -1, withscores=True)
    assert {name.decode(): int(at) for name, at in due} == ended
    await world.ledger.start()
    assert not (report := await audit(world.ledger)).differences, report


async def test_a_ledger_that_is_not_empty_is_refused(archived: Archived) -> None:
    await archived.copy()
    async with archived.world.unchanged():
        with pytest.raises(RebuildRefused, match="not empty"):
            await rebuilt(archived)


async def test_interrupted_it_goes_on_and_nobody_starts_on_half_of_it(
    archived: Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilding, "ACCOUNTS_AT_ONCE", 4)
    world = archived.world
    await a_life(world)
    before = await balances(world)
    await archived.copy()
    await empty(world)

    def stop(done: int, _of: int) -> None:
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await rebuilt(archived, progress=stop)
    with pytest.raises(LedgerBroken, match="rebuild"):
        await world.ledger.start()
    seen: list[int] = []
    await rebuilt(archived, progress=lambda done, _of: seen.append(done))
    assert seen == [11]
    assert await balances(world) == before
    assert not (await audit(world.ledger)).differences


async def test_nothing_is_written_if_some_of_it_is_of_another_partition(bare: World) -> None:
    async with bare.unchanged():
        with pytest.raises(LedgerBroken, match="where it cannot be"):
            await bare.ledger.restore(1, [("SET", "{fb01}:a", "1"), ("SET", "{fb02}:b", "1")])


async def test_an_account_with_more_history_than_one_script_takes_comes_back(
    archived: Archived, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoring, "_WORDS_AT_ONCE", 40)
    monkeypatch.setattr(restoring, "_FIELDS_AT_ONCE", 3)
    monkeypatch.setattr(rebuilding, "_ROWS_AT_ONCE", 2)
    world = archived.world
    await a_life(world)
    before = await balances(world)
    await archived.copy()
    await empty(world)
    await rebuilt(archived)
    assert await balances(world) == before
    assert not (await audit(world.ledger)).differences


def test_a_generation_that_ended_after_its_account_was_copied_is_open_again() -> None:
    ended = {"state": "succeeded", "committed": "7", "finished_at": "9", "entries": "3|…\n5|…", "delivered": "1"}
    assert as_of(ended, 5) == ended
    assert as_of(ended, 4) == {"state": "queued", "entries": "3|…", "delivered": "1"}
    assert as_of(ended, 2) is None
    corrected = {**ended, "charged": "s:1", "given_back": "7", "given_back_on": "…", "entries": "3|…\n5|…\n6|…"}
    assert as_of(corrected, 5) == {**ended, "charged": "s:1"}
    assert as_of(corrected, 4) == {"state": "queued", "entries": "3|…", "delivered": "1"}


async def test_what_was_ordered_after_an_account_was_copied_is_gone_from_the_archive_too(archived: Archived) -> None:
    """It was shown as delivered and charged, by an account that had never heard of it and kept its credits."""
    world = archived.world
    world.holds = False
    await world.finish(await world.spend(1_000))
    await archived.copy()
    row = await archived.row("SELECT fields, at_entry FROM farebox.accounts WHERE account = 'ann'")
    lost = await world.spend(2_000)
    await world.finish(lost)
    await archived.copy()
    await archived.connection.execute(  # as while a long journal is copied in parts
        "UPDATE farebox.accounts SET fields = $1, at_entry = $2 WHERE account = 'ann'", *row
    )
    await empty(world)
    assert (await rebuilt(archived)).cut == 1
    assert await archived.row("SELECT count(*) AS left FROM farebox.generations WHERE id = $1", lost) == (0,)
    assert not (await audit(world.ledger)).differences


async def test_a_key_whose_record_was_late_comes_back(archived: Archived) -> None:
    """An archivist that saw the account between the two writes remembered it as a key without a record."""
    world, key_id = archived.world, key_id_of("fbx_late")
    await world.ledger.add_key(key="fbx_late", scope=Scope.ACCOUNT, account="ann", label=None)
    record = await world.redis.getdel(keys.key(key_id))
    await archived.copy()
    await world.redis.set(keys.key(key_id), record)
    await world.grant()
    await archived.copy()
    row = await archived.row("SELECT api_keys->>$1 AS record FROM farebox.accounts WHERE account = 'ann'", key_id)
    assert row["record"] == record.decode()


async def test_without_an_account_whole_in_the_archive_it_says_so(archived: Archived) -> None:
    world = archived.world
    await world.grant("ann", 5, Bucket.TOP_UP)
    await archived.copy()
    await archived.connection.execute("UPDATE farebox.accounts SET fields = NULL WHERE account = 'ann'")
    await empty(world)
    assert (await rebuilt(archived)).incomplete == 1
    assert not await world.redis.exists(keys.account(0, "ann"))
