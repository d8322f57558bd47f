"""Issue 19: what ages a ledger by ten million generations in `make bench ONLY=aged` is the product's own doing."""

from __future__ import annotations

from pathlib import Path

from benchmarks.accounts import Account
from benchmarks.moved_clock import MISSING, compiler, moved_redis
from benchmarks.recorded import RawConnection
from benchmarks.servers import durable_redis, ledger_at
from benchmarks.traffic import join, recorded_traffic
from gateway.domain import partition_of_account
from gateway.ledger.audit import audit
from gateway.ledger.outcomes import Page
from tests.missing import not_run

_DAY_SECONDS = 86_400


async def test_recorded_lives_under_other_names_are_lives_of_the_product() -> None:
    with durable_redis() as redis_socket:
        traffic = await recorded_traffic(redis_socket)
        async with ledger_at(redis_socket) as ledger:
            for number in (2, 3):
                await join(ledger, number)
            accounts = [Account.number(number) for number in (2, 3)]
            raw = await RawConnection.open(redis_socket)
            placed = [(one, partition_of_account(one.name, ledger.partitions)) for one in accounts]
            for kind in range(len(traffic.lives)):
                await traffic.live(raw, placed, [kind, kind + 1])
            listed = [await ledger.generations(account=one.name, keys_version=None, limit=100) for one in accounts]
            states = [[one.state for one in page.data] for page in listed if isinstance(page, Page)]
            await traffic.outputs_deleted(
                raw, [one.id for page in listed if isinstance(page, Page) for one in page.data]
            )
            await raw.close()
            report = await audit(ledger, rest=0)
    assert [sorted(some) for some in states] == [["failed"] + ["succeeded"] * 9] * 2
    assert not [*report.differences, *report.unproved]
    assert report.generations >= 2 * len(traffic.lives)


async def test_what_expires_is_gone_as_soon_as_the_clock_is_moved(tmp_path: Path) -> None:
    if compiler() is None:
        not_run(MISSING)
    (tmp_path / "files").mkdir()
    began = 2_000_000_000
    async with moved_redis(tmp_path / "files", began) as server, ledger_at(server.socket) as ledger:
        assert began * 1000 <= await ledger.time() < (began + _DAY_SECONDS) * 1000
        await ledger.redis.set("short", "", ex=_DAY_SECONDS)
        await ledger.redis.set("long", "", ex=_DAY_SECONDS * 3)
        server.set(began + 2 * _DAY_SECONDS)
        assert await ledger.redis.exists("short", "long") == 1
    async with moved_redis(tmp_path / "files", began) as server, ledger_at(server.socket) as ledger:
        assert await ledger.redis.exists("long") == 1, "the files are there for the next server"
