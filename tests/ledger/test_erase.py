"""R38: the ledger's part of erasing a person: `erase_account`, `erase_generation`, stored responses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import gateway.ledger
from gateway.domain import LimitPeriod, Scope, partition_of_account
from gateway.errors import LedgerUnavailable
from gateway.ledger import keys
from gateway.ledger.accounts import key_id_of
from gateway.ledger.limits import Limit
from tests.ledger.world import PARTITIONS, World

PAGE = (Path(gateway.ledger.__file__).parent / "README.md").read_text()
KEY = "fbx_of-a-person"
STAYS = {
    "archived", "created_at",
    "plan", "interval", "anchor", "cycle", "paid_through", "cancelled_to", "scheduled", "customer",
    "billing", "grace", "allotments", "owed", "paid_for", "turned", "grant", "daily", "monthly", "held", "revoked",
    "owing", "returned", "debt", "work", "waiting", "alerts", "alerted", "entries", "grants", "order", "time",
    "offset", "test", "erasing", "erased", "free_credits", "given_back", "pause", "paused", "day", "keys_version",
    "volume", "factors", "worth", "paid_worth", "allotment_worths", "next_worth",
}  # fmt: skip
"""Money, time, and what operators decided. `webhooks` goes with the webhooks."""


def described_fields() -> set[str]:
    """The fields of an account by the page on the ledger's keys, `key:<key id>` as `key`."""
    table = PAGE.split("### `account:<id>`", 1)[1].split("\n### ", 1)[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return {name.partition(":")[0] for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_each_field_of_an_account_stays_or_goes() -> None:
    """A new one must be decided: add it to the script, or to what stays."""
    script = (Path(gateway.ledger.__file__).parent / "lua" / "erase_account.lua").read_text()
    goes = set(re.findall(r"(\w+) = true", script))
    assert described_fields() == goes | STAYS | {"webhooks"}
    assert not goes & STAYS


async def test_an_account_loses_its_person_and_keeps_its_money(world: World) -> None:
    await world.account(plan="standard")
    await world.ledger.put_account(account="ann", email="ann@example.com", metadata={"name": "Ann"})
    limit = Limit(5_000, LimitPeriod.DAILY)
    await world.ledger.add_key(key=KEY, scope=Scope.ACCOUNT, account="ann", label="Ann's", limit=limit)
    before = await world.look()
    for finished in (False, True, True):
        await world.ledger.erase_account(await world.look(), finished=finished)
    after = await world.look()
    assert (after.email, after.metadata, after.keys) == (None, {}, ())
    assert (after.available_millicredits, after.subscription) == (before.available_millicredits, before.subscription)
    assert after.keys_version > before.keys_version
    assert after.erased_at is not None
    assert await world.redis.exists(keys.key(key_id_of(KEY)), keys.email("ann@example.com")) == 0


async def test_an_address_is_let_go_also_by_an_erasure_that_was_killed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the account had forgotten it, its entry stayed for ever: nobody knew the address any more."""
    await world.account()
    await world.ledger.put_account(account="ann", email="ann@example.com")
    run = world.ledger.run

    async def killed(name: str, key: str, **arguments: Any) -> Any:
        if name == "release_email":
            raise LedgerUnavailable("killed")
        return await run(name, key, **arguments)

    with monkeypatch.context() as patched:
        patched.setattr(world.ledger, "run", killed)
        with pytest.raises(LedgerUnavailable):
            await world.ledger.erase_account(await world.look(), finished=False)
    await world.ledger.erase_account(await world.look(), finished=True)
    assert await world.redis.exists(keys.email("ann@example.com")) == 0


@pytest.mark.cluster
async def test_only_an_ended_generation_is_erased(world: World) -> None:
    await world.account()
    generation = await world.spend(1_000)
    async with world.unchanged():
        assert not await world.ledger.erase_generation(await world.generation(generation))
    await world.ledger.cancel(generation=generation)
    ended = await world.generation(generation)
    for _ in range(2):
        assert await world.ledger.erase_generation(ended)
    erased = await world.generation(generation)
    assert (erased.request.prompt, erased.request.metadata, erased.refunded_millicredits) == ("", {}, 1_000)
    assert erased.version > ended.version, "cached bodies of it are out of date"


@pytest.mark.cluster
async def test_stored_responses_go_and_what_guards_credits_stays(world: World) -> None:
    await world.account()
    await world.spend(1_000, idempotency=("digest", "request"))
    await world.grant("ann", 5)
    partition = partition_of_account("ann", PARTITIONS)
    name = keys.idempotency(partition, "ann", "of-a-quote")
    await world.ledger.command("SET", name, "digest response {}", "PX", 60_000)
    kept = len([key async for key in world.redis.scan_iter(match=keys.idempotency(partition, "ann", "*"))])
    cursor = 0
    while cursor := await world.ledger.erase_responses(scope="ann", naming="", cursor=cursor):
        pass
    left = [key async for key in world.redis.scan_iter(match=keys.idempotency(partition, "ann", "*"))]
    assert len(left) == kept - 1 >= 2
    assert name.encode() not in left
