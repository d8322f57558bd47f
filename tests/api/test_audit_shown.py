"""The last audit, as /readyz, /metrics and /v1/ops/queues show it; and `farebox audit` by its exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from gateway.domain import partition_of_generation
from gateway.ledger import keys
from gateway.ledger.audit import audit, claim_audit, remember
from tests.api.visitor import Visitor
from tests.preforked import run_farebox
from tests.redis_servers import RedisServer


async def _farebox_audit(url: str, *arguments: str) -> tuple[int, str, str]:
    """Run the command: how it ended, what it printed, and its complaints."""
    environment = {"FAREBOX_LEDGER_URL": url, "COLUMNS": "200"}
    done = await asyncio.to_thread(run_farebox, "audit", *arguments, environment=os.environ | environment)
    return done.returncode, done.stdout, done.stderr


async def _lose_a_deadline(gateway: Visitor) -> str:
    generation = await gateway.made(await gateway.account())
    await gateway.ledger.redis.zrem(keys.deadlines(partition_of_generation(generation)), generation)
    return generation


async def test_before_the_first_audit_nothing_is_claimed(gateway: Visitor) -> None:
    body = (await gateway.call("GET", "/readyz")).body
    assert (body["status"], body["audit"]) == ("ok", None)
    assert (await gateway.call("GET", "/v1/ops/queues", gateway.admin)).body["audit"] is None
    assert not any(name.startswith("farebox_audit") for name in await gateway.samples())


async def test_a_clean_audit_is_shown_everywhere(gateway: Visitor) -> None:
    await gateway.made(await gateway.account())
    kept = await remember(gateway.ledger, await audit(gateway.ledger))
    body = (await gateway.call("GET", "/readyz")).body
    assert (body["status"], body["audit"]["differences"]) == ("ok", 0)
    shown = (await gateway.call("GET", "/v1/ops/queues", gateway.admin)).body["audit"]
    assert shown["at"] == body["audit"]["at"]
    assert (shown["accounts"], shown["generations"], shown["differences"]) == (1, 1, 0)
    assert shown["seconds"] == (kept.finished - kept.at) / 1000
    samples = await gateway.samples()
    assert samples["farebox_audit_differences"] == {(): 0}
    assert samples["farebox_audit_timestamp_seconds"] == {(): kept.at / 1000}


async def test_an_operator_asks_for_an_audit_and_sees_when_the_next_is(gateway: Visitor) -> None:
    await remember(gateway.ledger, await audit(gateway.ledger))
    shown = (await gateway.call("GET", "/v1/ops/queues", gateway.admin)).body["audit"]
    assert isinstance(shown["next_at"], str)
    assert shown["next_at"] > shown["at"]
    assert not await claim_audit(gateway.ledger, "a caretaker")
    asked = await gateway.call("POST", "/v1/ops/audit", gateway.admin)
    assert (asked.status, asked.body) == (202, {"object": "audit_request"})
    assert (await gateway.call("GET", "/v1/ops/queues", gateway.admin)).body["audit"]["next_at"] is None
    assert await claim_audit(gateway.ledger, "a caretaker")
    await gateway.call("POST", "/v1/ops/audit", gateway.admin)
    assert not await claim_audit(gateway.ledger, "another"), "one that is running is left to end"


async def test_differences_degrade_the_gateway_and_keep_it_open(gateway: Visitor) -> None:
    await _lose_a_deadline(gateway)
    await remember(gateway.ledger, await audit(gateway.ledger))
    reply = await gateway.call("GET", "/readyz")
    assert (reply.status, reply.body["status"], reply.body["audit"]["differences"]) == (200, "degraded", 1)
    assert "the last audit found 1 difference in the ledger: run `farebox audit`" in reply.body["problems"]
    assert (await gateway.samples())["farebox_audit_differences"] == {(): 1}


async def test_the_command_ends_with_0_when_everything_agrees(gateway: Visitor, redis_url: str) -> None:
    await gateway.made(await gateway.account())
    code, said, complained = await _farebox_audit(redis_url)
    assert code == 0, complained
    assert "Everything is consistent." in said
    assert (await gateway.call("GET", "/readyz")).body["audit"]["differences"] == 0


async def test_the_command_ends_with_1_and_names_what_does_not(gateway: Visitor, redis_url: str) -> None:
    generation = await _lose_a_deadline(gateway)
    code, said, _ = await _farebox_audit(redis_url)
    assert code == 1
    assert f"deadline  generation {generation}" in said
    assert "expected  one deadline" in said
    code, said, _ = await _farebox_audit(redis_url, "--json", "--account", "acme")
    report = json.loads(said)
    assert (code, report["clean"], report["difference_count"]) == (1, False, 1)
    (difference,) = report["differences"]
    assert (difference["kind"], difference["account"], difference["generation"]) == ("deadline", "acme", generation)
    assert difference["mend"]


async def test_one_account_alone_is_no_result_for_the_whole(gateway: Visitor, redis_url: str) -> None:
    await gateway.account()
    code, _, _ = await _farebox_audit(redis_url, "--account", "acme")
    assert code == 0
    assert (await gateway.call("GET", "/readyz")).body["audit"] is None
    code, _, complained = await _farebox_audit(redis_url, "--account", "nobody")
    assert code == 2
    assert "there is no account nobody" in complained


async def test_the_command_ends_with_2_when_the_ledger_cannot_be_read(own_redis: RedisServer) -> None:
    code, _, complained = await _farebox_audit(own_redis.url)
    assert (code, "there is no ledger here" in complained) == (2, True)
    own_redis.stop()
    code, _, complained = await _farebox_audit(own_redis.url)
    assert code == 2
    assert "the ledger could not be read" in complained
    assert "Traceback" not in complained


async def test_ctrl_c_ends_the_command_in_a_word(tmp_path: Path) -> None:
    """A server that accepts and never answers, so that the command is in the middle of it for certain."""
    asked = asyncio.Event()

    async def be_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(be_silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "audit"),
            env=os.environ | {"FAREBOX_LEDGER_URL": f"redis://127.0.0.1:{port}", "FAREBOX_DATA": str(tmp_path)},
            stderr=asyncio.subprocess.PIPE,
        )
        await asked.wait()
        process.send_signal(signal.SIGINT)
        _, complained = await process.communicate()
    assert process.returncode == 130
    assert complained.decode().strip() == "Interrupted: the audit is incomplete, and nothing was changed."
