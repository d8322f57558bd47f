"""Two processes with two rate cards say so, and an older card is gone back to as a whole, or not at all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.api import services
from gateway.cli.pricing import pricing
from gateway.errors import LedgerUnavailable
from gateway.ledger import card_in_force
from gateway.ledger.ledger import Ledger
from gateway.ledger.policy import PolicyInForce
from gateway.pricing import reload
from gateway.pricing.reload import RateCards
from gateway.redis_link.connections import connect_ledger
from tests.api.visitor import CARD, Visitor, open_gateway
from tests.until import until

HOUR_NS = 3600 * 10**9


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card_in_force, "CHECK_SECONDS", 0.05)
    monkeypatch.setattr("gateway.app.CHECK_SECONDS", 0.05)
    monkeypatch.setattr(reload, "CHECK_SECONDS", 0.02)
    monkeypatch.setattr(reload, "PUBLISH_AGAIN_SECONDS", 0.05)


def write(path: Path, credits_: int, hours_ago: float) -> None:
    """A card that sells a sketch for so much, with a file time of its own; put in place at one stroke."""
    path.parent.mkdir(exist_ok=True)
    beside = path.with_suffix(".new")
    beside.write_text(CARD.read_text().replace("credits = 5\n", f"credits = {credits_}\n"))
    at = int(path.parent.stat().st_ctime_ns - hours_ago * HOUR_NS)
    os.utime(beside, ns=(at, at))
    beside.replace(path)


@asynccontextmanager
async def gateway_with(redis_url: str, directory: Path, credits_: int, hours_ago: float) -> AsyncIterator[Visitor]:
    write(directory / "pricing.toml", credits_, hours_ago)
    async with open_gateway(redis_url, directory, data=directory.parent / "data") as visitor:
        yield visitor


async def problems(visitor: Visitor) -> list[str]:
    body = (await visitor.call("GET", "/readyz")).body
    found: list[str] = body["problems"]
    assert (body["status"] == "degraded") is bool(found)
    return found


async def until_problem(visitor: Visitor, words: str) -> str:
    found: list[str] = []

    async def is_told() -> bool:
        found[:] = [problem for problem in await problems(visitor) if words in problem]
        return bool(found)

    await until(is_told)
    return found[0]


async def until_ok(visitor: Visitor) -> None:
    async def is_ok() -> bool:
        return not await problems(visitor)

    await until(is_ok)


async def price(visitor: Visitor) -> int:
    return int(visitor.app[services.RATE_CARDS].card.models["sketch"].rates[0].millicredits) // 1000


def publish(redis_url: str, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(pricing, ["publish", *arguments], env={"FAREBOX_LEDGER_URL": redis_url})
    return result.exit_code, result.output


async def test_of_two_gateways_with_two_cards_the_older_one_says_so_also_while_it_runs(
    redis_url: str, tmp_path: Path
) -> None:
    """Both said ok, and sold at two prices."""
    async with gateway_with(redis_url, tmp_path / "a", 5, hours_ago=2) as first:
        await until_ok(first)
        async with gateway_with(redis_url, tmp_path / "b", 9, hours_ago=1) as second:
            said = await until_problem(first, "is older than the rate card in force")
            path = tmp_path / "a" / "pricing.toml"
            assert f"farebox pricing publish --force {path}" in said
            assert "replace it with that file" in said
            await until_ok(second)
            metrics = (await first.call("GET", "/metrics")).raw.decode()
            assert "farebox_rate_card_degraded 1.0" in metrics
            ops = (await first.call("GET", "/v1/ops/queues", first.admin)).body
            assert "is older than" in ops["rate_card"]["problem"]
            # The newer file is put in place: all is well again.
            write(path, 9, hours_ago=1)
            await until_ok(first)
            assert await price(first) == 9


async def test_an_equal_time_with_other_contents_is_noticed(redis_url: str, tmp_path: Path) -> None:
    """Images that are built reproducibly give every file the same time."""
    async with (
        gateway_with(redis_url, tmp_path / "a", 5, hours_ago=1) as first,
        gateway_with(redis_url, tmp_path / "b", 9, hours_ago=1) as second,
    ):
        at = (tmp_path / "a" / "pricing.toml").stat().st_mtime_ns
        os.utime(tmp_path / "b" / "pricing.toml", ns=(at, at))

        async def one_says_so() -> bool:
            told = [one for each in (first, second) for one in await problems(each)]
            return {await price(first), await price(second)} == {5, 9} and len(told) == 1

        await until(one_says_so)


async def test_an_older_file_that_is_put_back_is_not_taken_by_half_and_goes_in_force_when_it_is_forced(
    redis_url: str, tmp_path: Path
) -> None:
    """The gateway sold by it, and the scripts went on by the newer one's terms."""
    async with gateway_with(redis_url, tmp_path / "a", 9, hours_ago=1) as gateway:
        path = tmp_path / "a" / "pricing.toml"
        await until_ok(gateway)
        write(path, 5, hours_ago=3)
        said = await until_problem(gateway, "is older than the rate card in force")
        assert await price(gateway) == 9, "all of the newer card stays"
        code, output = await asyncio.to_thread(publish, redis_url, str(path))
        assert code == 1
        assert "is older than the rate card in force" in output
        command = said.rpartition("`farebox pricing publish ")[2].rstrip("`").split()
        code, output = await asyncio.to_thread(publish, redis_url, *command)
        assert code == 0, output
        assert "is in force" in output
        await until_ok(gateway)
        assert await price(gateway) == 5
        version = gateway.app[services.RATE_CARDS].card.version
        found = await gateway.ledger.policies_in_force()
        assert {one.version for one in found if one is not None} == {version}
    # A restart, with the file's old time, changes nothing.
    async with open_gateway(redis_url, tmp_path / "a", data=tmp_path / "data") as again:
        await until_ok(again)
        assert await price(again) == 5


async def test_a_ledger_that_has_lost_its_policy_in_part_gets_it_again(redis_url: str, tmp_path: Path) -> None:
    async with gateway_with(redis_url, tmp_path / "a", 5, hours_ago=1) as gateway:
        await until_ok(gateway)
        await gateway.ledger.redis.delete("{fb07}:policy")

        async def is_whole() -> bool:
            return None not in await gateway.ledger.policies_in_force()

        await until(is_whole)
        await until_ok(gateway)


async def test_a_worker_with_another_card_says_so_and_publishes_nothing(redis_url: str, tmp_path: Path) -> None:
    async with gateway_with(redis_url, tmp_path / "a", 5, hours_ago=2) as gateway:
        other = tmp_path / "worker.toml"
        write(other, 7, hours_ago=1)
        cards = RateCards(other)
        ledger = Ledger(connect_ledger(redis_url))
        await card_in_force.CardInForce(ledger, cards, publishes=False).check_if_reachable()
        await ledger.close()
        assert cards.outdated is not None
        assert "is newer than the rate card in force" in cards.outdated
        await until_ok(gateway)


async def test_a_worker_checks_one_partition_at_a_time(redis_url: str, tmp_path: Path) -> None:
    """Fifty idle workers asked all 64 partitions every two seconds: 1,600 commands a second for nothing."""
    path = tmp_path / "pricing.toml"
    write(path, 5, hours_ago=1)
    redis = connect_ledger(redis_url)
    ledger, cards = Ledger(redis), RateCards(path)
    await card_in_force.CardInForce(ledger, cards, publishes=True).publish(cards.card)
    in_force = card_in_force.CardInForce(ledger, cards, publishes=False)
    before = (await redis.info("commandstats")).get("cmdstat_hmget", {"calls": 0})["calls"]
    for _ in range(3):
        await in_force.check_if_reachable()
    assert (await redis.info("commandstats"))["cmdstat_hmget"]["calls"] - before == 3
    assert cards.outdated is None
    await redis.delete("{fb03}:policy")
    await in_force.check_if_reachable()
    assert in_force.cards.outdated is not None, "the fourth look is at the fourth partition"
    await ledger.close()


async def test_a_worker_passes_over_a_partition_that_does_not_answer(redis_url: str, tmp_path: Path) -> None:
    """A cluster's node was away, and its workers asked it and no other for as long: a new card went unnoticed."""

    class FirstPartitionAway(Ledger):
        async def policies_in_force(self, partitions: Sequence[int] | None = None) -> list[PolicyInForce | None]:
            if partitions == [0]:
                raise LedgerUnavailable("the node of partition 0 is away")
            return await super().policies_in_force(partitions)

    path = tmp_path / "pricing.toml"
    write(path, 5, hours_ago=1)
    ledger, cards = FirstPartitionAway(connect_ledger(redis_url)), RateCards(path)
    in_force = card_in_force.CardInForce(ledger, cards, publishes=False)
    await in_force.check_if_reachable()
    assert cards.outdated is None, "nothing is known"
    await in_force.check_if_reachable()
    assert "is not published to the whole ledger yet" in (in_force.cards.outdated or "")
    await ledger.close()
