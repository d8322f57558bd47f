"""`farebox doctor`: what it finds on machines that are healthy, badly set up, or cut off; and what it never does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis
from aiohttp import web
from click.testing import CliRunner, Result

from gateway.cli import farebox
from gateway.ledger.ledger import Ledger
from gateway.redis_link.connections import connect_ledger
from tests.cases import cases
from tests.free_ports import free_port
from workers.doctor.command import examine
from workers.doctor.findings import Finding

CARD = Path(__file__).parents[1] / "api" / "card.toml"
SECRET = "sW6v0HqTn9Zk3YbE1uRj8LxC5dGf2MaP"
OTHER = "kD7r1JwUo8Al4ZcF2vSk9MyD6eHg3NbQ"


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with a data folder of its own, and nothing of the real environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FAREBOX_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FAREBOX_RATE_CARD", str(CARD))
    monkeypatch.setenv("FAREBOX_PORT", str(free_port()))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(farebox, ["doctor", *arguments])


async def found(check: str) -> list[Finding]:
    return [one async for one in examine() if one.check == check]


async def states() -> dict[str, set[str]]:
    seen: dict[str, set[str]] = {}
    async for one in examine():
        seen.setdefault(one.check, set()).add(one.state)
    return seen


async def test_a_healthy_machine_has_nothing_to_do_and_nothing_is_written(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FAREBOX_LEDGER_URL", redis_url)
    seen = await states()
    assert {"ledger", "durability", "replicas", "clock", "store", "rate card", "disk", "keys"} <= set(seen)
    assert all(found <= {"ok", "skipped"} for found in seen.values()), seen
    with redis.Redis.from_url(redis_url) as server:
        assert server.dbsize() == 0
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - nothing else runs


async def test_selling_what_only_the_sandbox_makes_is_a_warning(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAREBOX_LEDGER_URL", redis_url)
    (trying,) = await found("providers")
    monkeypatch.setenv("FAREBOX_PUBLIC_URL", "https://farebox.example.com")
    (selling,) = await found("providers")
    assert (trying.state, selling.state) == ("ok", "warning")
    assert "docs/providers.md" in str(selling.fix)


async def test_weak_settings_of_redis_are_warnings_that_say_the_command(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAREBOX_LEDGER_URL", redis_url)
    with redis.Redis.from_url(redis_url) as server:
        server.config_set("appendfsync", "everysec")
        try:
            (weak,) = await found("durability")
        finally:
            server.config_set("appendfsync", "always")
    assert weak.state == "warning"
    assert "CONFIG SET appendfsync always" in weak.message


async def test_a_ledger_with_another_key_or_another_version_is_an_error(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAREBOX_LEDGER_URL", redis_url)
    monkeypatch.setenv("FAREBOX_SIGNING_KEY", SECRET)
    ledger = Ledger(connect_ledger(redis_url))
    await ledger.start()
    await ledger.claim_signing_key("0123456789abcdef")
    await ledger.close()
    assert [one for one in await found("keys") if one.state == "error" and "signing-key adopt" in one.message]
    with redis.Redis.from_url(redis_url) as server:
        server.set("fb:meta", "99,64")
    assert [one for one in await found("ledger") if one.state == "error" and "schema version 99" in one.message]


async def test_replicas_that_are_missing_are_an_error(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAREBOX_LEDGER_URL", redis_url)
    monkeypatch.setenv("FAREBOX_WAIT_REPLICAS", "1")
    (error,) = [one for one in await found("ledger") if one.state == "error"]
    assert "replica" in error.message


@pytest.fixture
async def vendor() -> AsyncIterator[str]:
    """A provider that refuses every call, as one does without its key."""

    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=401)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}/v1"
    await runner.cleanup()


async def test_a_provider_is_reached_without_its_key_and_a_missing_key_or_address_is_a_warning(
    vendor: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    card = tmp_path / "pricing.toml"
    text = CARD.read_text()
    models = "".join(
        f'[models.{name}]\nname = "{name}"\ntool = "image"\nprovider = "{name}"\n[[models.{name}.rates]]\ncredits = 1\n'
        f'[providers.{name}]\nkind = "openai"\nbase_url = "{url}"\nkey_env = "{name.upper()}_KEY"\n'
        for name, url in (("here", vendor), ("away", f"http://127.0.0.1:{free_port()}/v1"))
    )
    card.write_text(f"{text}\n{models}")
    monkeypatch.setenv("FAREBOX_RATE_CARD", str(card))
    monkeypatch.setenv("HERE_KEY", SECRET)
    said = {one.message: one.state for one in await found("providers")}
    assert f"here responds at {vendor.removesuffix('/v1')} (401)" in said
    assert said["away needs AWAY_KEY, which is not set here"] == "warning"
    assert any(text.startswith("away cannot be reached at") and state == "warning" for text, state in said.items())


async def test_what_the_gateway_says_of_itself_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def readyz(_: web.Request) -> web.Response:
        return web.json_response({"problems": ["the last audit found 1 difference in the ledger: run `farebox audit`"]})

    app = web.Application()
    app.router.add_get("/readyz", readyz)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    monkeypatch.setenv("FAREBOX_PORT", str(port))
    (said,) = await found("gateway")
    await runner.cleanup()
    assert (said.state, "run `farebox audit`" in said.message) == ("warning", True)


@cases(
    ("name", "value", "says"),
    [
        ("FAREBOX_LEASE_SECONDS", "soon", "FAREBOX_LEASE_SECONDS"),
        ("FAREBOX_LEDGER_URL", f"redis://:{SECRET}@127.0.0.1:1", "Address(single 127.0.0.1:1)"),
        ("FAREBOX_QUEUE_URL", f"redis://:{SECRET}@127.0.0.1:1", "does not respond"),
        ("FAREBOX_QUEUE_URL_VIDEO", f"redis://:{SECRET}@127.0.0.1:1", "password in FAREBOX_QUEUE_URL_VIDEO"),
        ("FAREBOX_ARCHIVE_URL", f"postgresql://farebox:{SECRET}@127.0.0.1:1/farebox", "does not accept a connection"),
        ("FAREBOX_RATE_CARD", "/nowhere/pricing.toml", "/nowhere/pricing.toml"),
        ("FAREBOX_OUTPUTS_URL", f"s3://key:{SECRET}@bucket", "FAREBOX_OUTPUTS_URL"),
        ("FAREBOX_DATA", "/proc/farebox", "cannot be written"),
    ],
)
def test_an_error_has_exit_code_1_names_what_to_change_and_shows_no_secret(
    name: str, value: str, says: str, redis_url: str
) -> None:
    given = {"FAREBOX_LEDGER_URL": redis_url, "FAREBOX_ADMIN_KEY": OTHER, "FAREBOX_SIGNING_KEY": SECRET}
    with pytest.MonkeyPatch.context() as patch:
        for variable, text in {**given, name: value}.items():
            patch.setenv(variable, text)
        plain, as_json = run(), run("--json")
    assert (plain.exit_code, as_json.exit_code) == (1, 1), plain.output
    assert says in plain.output
    assert {one["state"] for one in json.loads(as_json.stdout)["findings"]} >= {"error"}
    for secret in (SECRET, OTHER):
        assert secret not in plain.output + as_json.output


def test_before_the_first_start_it_says_how_to_start() -> None:
    answer = run("--json")
    told = json.loads(answer.stdout)
    assert (answer.exit_code, told["state"]) == (0, "skipped")
    assert any("farebox up" in (one["fix"] or "") for one in told["findings"])
