"""Who may read `/metrics`: anybody by default, whoever has its key, or who reaches its own address."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from gateway.api import limits, services
from gateway.api.handlers.metrics_site import metrics_app
from gateway.api.middleware.server import Runner
from gateway.errors import SettingsError
from gateway.serving import run
from gateway.settings import Settings, load_settings
from gateway.startup.exposure import warnings
from tests.api.visitor import Visitor, open_gateway
from tests.free_ports import free_port

KEY = secrets.token_urlsafe(32)


@pytest.fixture
async def locked(redis_url: str, tmp_path: Path) -> AsyncIterator[Visitor]:
    """A gateway whose figures have a key."""
    async with open_gateway(redis_url, tmp_path, metrics_key=KEY) as visitor:
        yield visitor


@pytest.fixture
async def apart(redis_url: str, tmp_path: Path) -> AsyncIterator[tuple[Visitor, str]]:
    """A gateway whose figures have a key and an address of their own."""
    async with open_gateway(redis_url, tmp_path, metrics_key=KEY, metrics_port=free_port()) as visitor:
        runner = Runner(metrics_app(visitor.app), connections=limits.METRICS_CONNECTIONS_MAX)
        try:
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            yield visitor, f"http://{host}:{port}"
        finally:
            await runner.cleanup()
            await asyncio.sleep(0)


async def test_with_a_key_set_metrics_require_it(locked: Visitor) -> None:
    account = await locked.account()
    for key in (None, account, locked.admin, await locked.operator_key("ops"), KEY[:-1], KEY + "x"):
        refused = await locked.call("GET", "/metrics", key)
        assert (refused.status, refused.code) == (401, "invalid_key")
    answered = await locked.call("GET", "/metrics", KEY)
    assert answered.status == 200
    assert b"farebox_" in answered.raw
    assert (await locked.call("HEAD", "/metrics")).status == 401


async def test_the_key_of_the_figures_opens_nothing_else(locked: Visitor) -> None:
    for path in ("/v1/ops/queues", "/v1/admin/keys", "/v1/balance"):
        assert (await locked.call("GET", path, KEY)).status == 401


async def test_wrong_keys_of_the_figures_are_slowed_down(locked: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WRONG_KEY_DELAY_SECONDS", 0)
    monkeypatch.setattr(locked.app[services.WRONG_KEYS], "_clock", lambda: 1000.0)  # nothing comes back meanwhile
    most = limits.WRONG_OPERATOR_KEYS_PER_MINUTE
    sent = {(await locked.call("GET", "/metrics", secrets.token_urlsafe(32))).status for _ in range(most + 2)}
    assert sent == {401, 429}
    assert (await locked.call("GET", "/metrics", KEY)).status == 200


async def test_with_an_address_of_their_own_they_are_there_alone_and_nothing_else_is(
    apart: tuple[Visitor, str],
) -> None:
    gateway, address = apart
    for key in (None, KEY, gateway.admin):
        assert (await gateway.call("GET", "/metrics", key)).status == 404
    answered = await gateway.call("GET", f"{address}/metrics", KEY)
    assert (answered.status, b"farebox_" in answered.raw) == (200, True)
    assert (await gateway.call("GET", f"{address}/metrics")).status == 401
    for path in ("/", "/healthz", "/v1/admin/keys", "/session", "/openapi.json"):
        reply = await gateway.call("GET", address + path, gateway.admin)
        assert (reply.status, reply.code) == (404, "not_found")


async def test_without_either_they_are_as_before(gateway: Visitor) -> None:
    assert (await gateway.call("GET", "/metrics")).status == 200


async def test_they_say_what_the_process_takes(gateway: Visitor) -> None:
    figures = (await gateway.call("GET", "/metrics")).raw
    for name in (b"process_resident_memory_bytes ", b"process_open_fds ", b"process_cpu_seconds_total "):
        assert b"\n" + name in figures


def test_an_address_that_cannot_be_had_stops_the_start(tmp_path: Path, redis_url: str) -> None:
    settings = Settings(data=tmp_path, ledger_url=redis_url, metrics_host="192.0.2.1", metrics_port=free_port())
    with pytest.raises(SettingsError, match=r"^FAREBOX_METRICS_HOST, FAREBOX_METRICS_PORT: cannot listen"):
        run(settings)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"METRICS_KEY": "short"}, "FAREBOX_METRICS_KEY: is too short"),
        ({"METRICS_PORT": "8080"}, "FAREBOX_METRICS_PORT must not be FAREBOX_PORT"),
        ({"METRICS_KEY": KEY, "ADMIN_KEY": KEY}, "must differ"),
        ({"METRICS_KEY": KEY, "SIGNING_KEY": KEY}, "must differ"),
    ],
)
def test_settings_that_make_no_sense_stop_the_start(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], says: str
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"FAREBOX_{name}", value)
    with pytest.raises(SettingsError, match=says):
        load_settings()


def test_publicly_readable_metrics_are_reported() -> None:
    assert "METRICS_IN_PUBLIC" in dict(warnings(Settings(host="0.0.0.0")))
    for own in ({"metrics_key": KEY}, {"metrics_port": 9100}):
        assert "METRICS_IN_PUBLIC" not in dict(warnings(Settings(host="0.0.0.0", **own)))
