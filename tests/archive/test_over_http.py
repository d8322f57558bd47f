"""Every read call answers the same, byte for byte, for what is in Redis and for what is only in the archive."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from gateway.archive.archivist import Archivist
from gateway.archive.figures import ArchivistFigures
from gateway.archive.migrating import migrate
from gateway.domain import FailureCode, partition_of_account
from gateway.ledger import keys
from tests.api.visitor import Reply, Visitor, open_gateway
from tests.postgres_server import PostgresServer

WORDS = ("lovelace", "enchantress")
_SIGNED = re.compile(rb"(expires|signature)=[^&\"]+")  # of an output's link: it says when it was made


@dataclass
class Site:
    """A gateway with an archive."""

    gateway: Visitor
    archivist: Archivist

    async def copy(self) -> None:
        while (await self.archivist.round())[0]:
            pass

    async def forget(self, account: str) -> None:
        """Take from Redis what the archive has, as after `keep_days`."""
        ledger = self.gateway.ledger
        for partition in range(ledger.partitions):
            await ledger.command("HSET", keys.policy(partition), "keep:archived", 0)
        while await ledger.trim(account=account, at_most=200):
            pass
        partition = partition_of_account(account, ledger.partitions)
        for spell in (keys.usage, keys.usage_keys, keys.usage_tags):
            async for name in ledger.redis.scan_iter(match=spell(partition, account, "*")):
                await ledger.redis.delete(name)
        await ledger.trim_audit_log(copied_to=str(await self.archivist.writer.state("audit_log")))


@pytest.fixture
async def site(redis_url: str, archive_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    await migrate(archive_url)
    async with open_gateway(redis_url, tmp_path, archive_url=archive_url) as gateway:
        await gateway.until_ready()
        archivist = Archivist(gateway.ledger, archive_url, ArchivistFigures(CollectorRegistry()))
        assert await archivist.writer.claim()
        await gateway.ledger.switch_archive(on=True)
        yield Site(gateway, archivist)
        await archivist.writer.close()


async def a_past(gateway: Visitor, key: str) -> list[str]:
    await gateway.grant(1_000)
    made = [
        await gateway.finished(key, prompt=f"an enchantress {number}", tags={"who": "lovelace"}, outputs=2)
        for number in range(4)
    ]
    failed = await gateway.made(key, prompt="of Lovelace", metadata={"n": 1})
    await gateway.begin(failed)
    await gateway.settle(failed, FailureCode.PROVIDER_REJECTED)
    return [*made, failed]


async def answers(gateway: Visitor, key: str, made: list[str]) -> dict[str, tuple[int, bytes]]:
    paths = [
        "/v1/generations", "/v1/generations?limit=2", "/v1/generations?status=failed",
        "/v1/generations?tags[who]=lovelace",
        f"/v1/generations?limit=2&before={made[2]}", f"/v1/generations?before={made[0]}",
        "/v1/journal", "/v1/journal?limit=3", "/v1/journal?kind=commit", "/v1/journal?before=4",
        "/v1/usage", "/v1/usage?group_by=day,model", "/v1/usage?group_by=key", "/v1/usage?group_by=tag:who",
        *(f"/v1/generations/{one}" for one in made), *(f"/v1/generations/{one}/receipt" for one in made),
        *(f"/v1/generations/{one}/outputs/0" for one in made[:-1]),
    ]  # fmt: skip
    asked: list[tuple[str, str, dict[str, str]]] = [(path, key, {}) for path in paths]
    asked += [(f"/v1/{one}", key, {"Accept": "text/csv"}) for one in ("journal", "usage")]
    asked += [(f"/v1/{one}?account=acme", gateway.admin, {}) for one in ("generations", "journal", "usage")]
    asked += [(f"/v1/generations/{made[0]}", gateway.admin, {}), ("/v1/admin/audit-log", gateway.admin, {})]
    found = {}
    for path, by, headers in asked:
        reply = await gateway.call("GET", path, by, headers=headers)
        found[f"{path} {headers} {by == gateway.admin}"] = reply.status, _SIGNED.sub(b"", reply.raw)
    return found


async def test_every_read_call_answers_the_same(site: Site) -> None:
    key = await site.gateway.account()
    made = await a_past(site.gateway, key)
    before = await answers(site.gateway, key, made)
    assert {status for status, _ in before.values()} == {200}, before
    await site.copy()
    await site.forget("acme")
    ledger = site.gateway.ledger
    assert not await ledger.command("EXISTS", ledger.generation_key(made[0]))
    after = await answers(site.gateway, key, made)
    for path, answer in before.items():
        assert after[path] == answer, path
    assert (
        await site.gateway.call("GET", f"/v1/generations/{made[0]}", await site.gateway.account("bob"))
    ).status == 404


async def test_what_only_the_archive_has_has_ended_and_is_not_changed(site: Site) -> None:
    """A failed generation was retried once more, and charged again, once Redis had forgotten its first retry."""
    gateway, key, reason = site.gateway, await site.gateway.account(), {"reason": "asked to"}
    *_, charged, failed = await a_past(gateway, key)

    async def retry(generation: str) -> Reply:
        return await gateway.call("POST", f"/v1/admin/generations/{generation}/retry", gateway.admin, reason)

    async def refund(generation: str) -> Reply:
        return await gateway.call("POST", f"/v1/admin/generations/{generation}/refund", gateway.admin, reason)

    retried = (await retry(failed)).body["id"]
    await gateway.finish(retried)
    assert (await refund(retried)).status == 200
    untried = await gateway.made(key)
    await gateway.begin(untried)
    await gateway.settle(untried, FailureCode.PROVIDER_REJECTED)
    await site.copy()
    await site.forget("acme")
    before = (await gateway.call("GET", "/v1/balance", key)).body
    again = await retry(failed)
    assert (again.status, again.body["id"]) == (200, retried), "as it was answered before"
    again = await refund(retried)
    assert (again.status, again.body["id"]) == (200, retried)
    for refused in (await retry(untried), await refund(charged)):
        assert (refused.status, refused.code) == (422, "invalid_request")
        assert "only in the archive" in refused.error["message"]
    for path in (f"/v1/generations/{charged}/cancel", f"/replicate/v1/predictions/{charged}/cancel"):
        cancelled = await gateway.call("POST", path, key)
        assert (cancelled.status, cancelled.body["status"]) == (200, "succeeded"), path
    stranger = await gateway.account("bob")
    assert (await gateway.call("POST", f"/v1/generations/{charged}/cancel", stranger)).status == 404
    assert (await gateway.call("GET", "/v1/balance", key)).body == before


async def test_a_person_is_erased_from_the_archive_too(site: Site) -> None:
    key = await site.gateway.account()
    made = await a_past(site.gateway, key)
    await site.copy()
    assert await words(site) == set(WORDS)
    await site.forget("acme")
    body: dict[str, Any] = {}
    while not body.get("done"):
        reply = await site.gateway.call("DELETE", "/v1/admin/accounts/acme/person", site.gateway.admin)
        assert reply.status in {200, 202}, reply.raw
        body = {"done": reply.status == 200} | reply.body
    await site.copy()
    assert await words(site) == set()
    shown = (await site.gateway.call("GET", f"/v1/generations/{made[0]}", site.gateway.admin)).body
    assert [output["url"] for output in shown["outputs"]] == [None, None], "as of what Redis still has"


async def test_a_gateway_that_does_not_know_the_archive_erases_and_exports_nothing(
    site: Site, redis_url: str, tmp_path: Path
) -> None:
    """It said that all was erased, and left every prompt in PostgreSQL; and its export ended with Redis."""
    key = await site.gateway.account()
    await a_past(site.gateway, key)
    await site.copy()
    await site.forget("acme")
    (tmp_path / "other").mkdir()
    signing_key = (tmp_path / "data" / "signing-key").read_text().strip()
    async with open_gateway(redis_url, tmp_path / "other", signing_key=signing_key) as other:
        await other.until_ready("degraded")
        for method, path in (("DELETE", "person"), ("GET", "export")):
            reply = await other.call(method, f"/v1/admin/accounts/acme/{path}", other.admin)
            assert (reply.status, reply.code) == (503, "ledger_unavailable"), path
            assert "FAREBOX_ARCHIVE_URL" in reply.error["message"]
    assert (await site.gateway.call("GET", "/v1/balance", key)).status == 200, "the key was not revoked"


async def words(site: Site) -> set[str]:
    """Which of the person's words are in any table."""
    connection = await site.archivist.writer.connection()
    text = ""
    for table in ("accounts", "entries", "generations", "usage"):
        text += json.dumps([str(dict(row)) for row in await connection.fetch(f"SELECT * FROM {table}")])  # noqa: S608 - ours
    return {word for word in WORDS if word in text.lower()}


async def test_an_archive_that_is_away_is_said_and_costs_only_what_is_there(
    site: Site, postgres: PostgresServer
) -> None:
    key = await site.gateway.account()
    made = await a_past(site.gateway, key)
    await site.copy()
    await site.forget("acme")
    await site.archivist.writer.close()
    connection = await postgres.connect()
    await connection.execute("ALTER SCHEMA farebox RENAME TO elsewhere")
    try:
        reply = await site.gateway.call("GET", f"/v1/generations/{made[0]}", key)
        assert (reply.status, reply.code) == (503, "ledger_unavailable")
        assert (await site.gateway.call("GET", "/v1/generations", key)).status == 503
        assert (await site.gateway.call("GET", "/v1/balance", key)).status == 200
        new = await site.gateway.made(key)
        parts = {path: (await site.gateway.call("GET", path, key)).body for path in ("/v1/generations", "/v1/journal")}
        assert [one["id"] for one in parts["/v1/generations"]["data"]] == [new], "what Redis has is shown"
        for path, part in parts.items():
            assert (await site.gateway.call("GET", f"{path}?before={part['next']}", key)).status == 503, "not the end"
    finally:
        await connection.execute("ALTER SCHEMA elsewhere RENAME TO farebox")
        await connection.close()
    assert (await site.gateway.call("GET", f"/v1/generations/{made[0]}", key)).status == 200
    for path, part in parts.items():
        whole = (await site.gateway.call("GET", path, key)).body["data"]
        rest = (await site.gateway.call("GET", f"{path}?before={part['next']}", key)).body["data"]
        assert [one["id"] for one in part["data"] + rest] == [one["id"] for one in whole]


async def test_readiness_says_that_the_archive_is_behind_or_not_configured(
    site: Site, redis_url: str, tmp_path: Path
) -> None:
    await site.copy()
    assert (await site.gateway.until_ready())["problems"] == []
    long_ago = await site.gateway.ledger.time() - 12 * 60_000
    await site.gateway.ledger.redis.zadd(keys.unarchived(0), {"acme": long_ago})
    (problem,) = (await site.gateway.until_ready("degraded"))["problems"]
    assert re.match(r"the archive is 1\d min behind: see whether `farebox archivist` runs", problem)
    other = tmp_path / "other"
    other.mkdir()
    signing_key = (tmp_path / "data" / "signing-key").read_text().strip()
    async with open_gateway(redis_url, other, signing_key=signing_key) as without:
        (problem,) = (await without.until_ready("degraded"))["problems"]
        assert "has no FAREBOX_ARCHIVE_URL" in problem
