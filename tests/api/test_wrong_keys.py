"""Wrong keys: counted by client, slowed down beyond an allowance, and never in the way of a right one."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.api import limits
from gateway.api.access.wrong_keys import TooManyWrongKeys, WrongKeys
from tests.api.visitor import Visitor, open_gateway

ADMIN = "/v1/admin/keys"
OPERATORS = 4  # wrong keys a minute, in these tests
ACCOUNTS = 12


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small allowances, of which nothing comes back while a test goes on, and no waiting."""
    monkeypatch.setattr("gateway.app.WrongKeys", partial(WrongKeys, clock=lambda: 1000.0))
    monkeypatch.setattr(limits, "WRONG_KEYS_PER_MINUTE", ACCOUNTS)
    monkeypatch.setattr(limits, "WRONG_OPERATOR_KEYS_PER_MINUTE", OPERATORS)
    monkeypatch.setattr(limits, "WRONG_KEY_DELAY_SECONDS", 0)


@pytest.fixture
async def proxied(redis_url: str, tmp_path: Path) -> AsyncIterator[Visitor]:
    """A gateway behind a proxy on this machine that names its clients."""
    async with open_gateway(redis_url, tmp_path, trusted_proxies="127.0.0.0/8") as visitor:
        yield visitor


def a_key() -> str:
    return "fbx_" + secrets.token_urlsafe(32)


async def exhaust(gateway: Visitor, client: str = "203.0.113.7") -> None:
    """Send as many wrong keys as are answered as such, and one more."""
    sent = [
        (await gateway.call("GET", ADMIN, a_key(), None, {"X-Forwarded-For": client})).status
        for _ in range(OPERATORS + 1)
    ]
    assert sent == [401] * OPERATORS + [429]


async def test_wrong_admin_keys_are_slowed_down_and_the_right_one_is_let_in(gateway: Visitor) -> None:
    account = await gateway.account()
    await exhaust(gateway)
    refused = await gateway.call("GET", ADMIN, a_key())
    assert (refused.status, refused.code) == (429, "rate_limited")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60 // OPERATORS
    assert refused.headers["Connection"] == "close"
    assert (await gateway.call("GET", ADMIN, gateway.admin)).status == 200
    assert (await gateway.call("GET", "/v1/balance", account)).status == 200


async def test_what_is_no_key_of_ours_is_a_guess_at_the_admins_too(gateway: Visitor) -> None:
    """The admin key in the settings may look like anything."""
    sent = [(await gateway.call("GET", ADMIN, secrets.token_hex(16))).status for _ in range(OPERATORS + 1)]
    assert sent == [401] * OPERATORS + [429]


@pytest.mark.parametrize("path", ["/v1/balance", "/v1/webhooks"])
async def test_where_accounts_call_more_are_let_pass_as_wrong(gateway: Visitor, path: str) -> None:
    sent = [(await gateway.call("GET", path, a_key())).status for _ in range(ACCOUNTS + 1)]
    assert sent == [401] * ACCOUNTS + [429]


async def test_signing_in_is_no_way_round(gateway: Visitor) -> None:
    ours = {"Sec-Fetch-Site": "same-origin"}
    sent = [(await gateway.call("POST", "/session", None, {"key": a_key()}, ours)).status for _ in range(OPERATORS + 1)]
    assert sent == [401] * OPERATORS + [429]
    assert (await gateway.call("GET", "/session", a_key())).status == 429
    assert (await gateway.call("POST", "/session", None, {"key": gateway.admin}, ours)).status == 201


async def test_a_call_without_a_key_is_no_guess(gateway: Visitor) -> None:
    for _ in range(ACCOUNTS + 1):
        assert (await gateway.call("GET", ADMIN)).status == 401
        assert (await gateway.call("GET", ADMIN, None, None, {"Cookie": "farebox_session=x"})).status == 401


async def test_each_client_is_counted_by_itself(proxied: Visitor) -> None:
    await exhaust(proxied, "203.0.113.7")
    await exhaust(proxied, "203.0.113.8")
    await exhaust(proxied, "2001:db8::1")
    same_network = {"X-Forwarded-For": "2001:db8::2"}
    assert (await proxied.call("GET", ADMIN, a_key(), None, same_network)).status == 429


# --- the count, by a clock of the test's own --------------------------------------------------------------------------


class Counted:
    """Wrong keys of made-up clients; `waited` is how long they had to wait, all together."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waited = 0.0
        self.client = "203.0.113.7"
        self.wrong_keys = WrongKeys(lambda _: self.client, clock=lambda: self.now, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.waited += seconds

    async def until_refused(self) -> int:
        """How many are let pass as wrong."""
        for count in range(1000):
            try:
                await self.wrong_keys.note(make_mocked_request("GET", "/"), operators=True)
            except TooManyWrongKeys:
                return count
        raise AssertionError("none was refused")


async def test_the_allowance_comes_back_evenly() -> None:
    counted = Counted()
    assert await counted.until_refused() == OPERATORS
    counted.now += 60 / OPERATORS
    assert await counted.until_refused() == 1
    counted.now += 3600
    assert await counted.until_refused() == OPERATORS


async def test_only_refused_clients_are_delayed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WRONG_KEY_DELAY_SECONDS", 0.2)
    counted = Counted()
    await counted.until_refused()
    assert counted.waited == 0.2
    await counted.until_refused()
    assert counted.waited == 0.4


async def test_refused_ones_do_not_lengthen_the_wait() -> None:
    counted = Counted()
    for _ in range(100):
        await counted.until_refused()
    counted.now += 60
    assert await counted.until_refused() == OPERATORS


async def test_so_many_clients_are_remembered_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WRONG_KEY_CLIENTS_MAX", 3)
    counted = Counted()
    for number in range(100):
        counted.client = f"203.0.113.{number}"
        assert await counted.until_refused() == OPERATORS
    assert [await remembered(counted, number) for number in (99, 98, 97, 1)] == [True, True, True, False]


async def remembered(counted: Counted, number: int) -> bool:
    counted.client = f"203.0.113.{number}"
    return await counted.until_refused() == 0
