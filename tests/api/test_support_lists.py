"""What the command line lists for support: accounts, keys, journals; by pages, and never with an id that is broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli import farebox
from tests.api.test_support_commands import as_json, command, run
from tests.api.visitor import Visitor


async def test_keys_are_listed_and_revoked(gateway: Visitor, key: str) -> None:
    made = await as_json(gateway, "account", "key", "acme", "--label", "web shop")
    listed = await as_json(gateway, "account", "keys", "acme")
    assert made["id"] in {one["id"] for one in listed["data"]}
    assert "web shop" in await run(gateway, "account", "keys", "acme")
    assert "has been revoked" in await run(gateway, "account", "revoke", "acme", made["id"])
    assert (await gateway.call("GET", "/v1/balance", made["key"])).status == 401
    assert (await gateway.call("GET", "/v1/balance", key)).status == 200
    code, _, complained = await command(gateway, "account", "revoke", "acme", made["id"])
    assert code == 1
    assert "already revoked" in complained


async def test_a_journal_is_read_by_pages_and_by_kind(gateway: Visitor, key: str) -> None:
    for number in range(5):
        body = {"bucket": "top_up", "credits": number + 1, "reason": f"number {number}"}
        await gateway.call("POST", "/v1/admin/accounts/acme/grants", gateway.admin, body)
    whole = (await gateway.call("GET", "/v1/journal?limit=100", key)).body["data"]
    seen: list[Any] = []
    page = await as_json(gateway, "account", "journal", "acme", "--limit", "2")
    while True:
        seen += page["data"]
        if page["next"] is None:
            break
        page = await as_json(gateway, "account", "journal", "acme", "--limit", "2", "--before", page["next"])
    assert seen == whole
    grants = await as_json(gateway, "account", "journal", "acme", "--kind", "grant", "--limit", "3")
    assert [entry["credits"] for entry in grants["data"]] == [5, 4, 3]
    assert f"more: --before {grants['next']}" in await run(
        gateway, "account", "journal", "acme", "--kind", "grant", "--limit", "3"
    )


async def test_no_id_is_broken_in_a_narrow_terminal(gateway: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """`account show` broke a generation's id over two lines, so that it could not be copied or searched for."""
    key = await gateway.account()
    generations = [await gateway.made(key) for _ in range(2)]
    monkeypatch.setenv("FAREBOX_PUBLIC_URL", gateway.address)
    for words in (("account", "show", "acme"), ("account", "journal", "acme")):
        said = await narrow(gateway, *words)
        assert all(generation in said for generation in generations), said
    keys = (await gateway.call("GET", "/v1/admin/accounts/acme/keys", gateway.admin)).body["data"]
    assert keys[0]["id"] in await narrow(gateway, "account", "keys", "acme")


async def narrow(gateway: Visitor, *words: str) -> str:
    code, said, complained = await command(gateway, *words, columns="40")
    assert code == 0, complained
    return said


async def test_accounts_are_listed_in_order_by_pages(
    gateway: Visitor, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["acme", "bob", "carol", "dave", "eve"]
    for name in names:
        await gateway.call("PUT", f"/v1/admin/accounts/{name}", gateway.admin, {"email": f"{name}@example.com"})
    monkeypatch.setenv("FAREBOX_LEDGER_URL", redis_url)
    monkeypatch.chdir(tmp_path)
    seen: list[str] = []
    after = ""
    while True:
        _, said, _ = await command(gateway, "account", "list", "--json", "--limit", "2", "--after", after)
        page = json.loads(said)
        seen += [one["id"] for one in page["data"]]
        assert page["data"][0]["email"] == f"{page['data'][0]['id']}@example.com"
        after = page["next"]
        if after is None:
            break
    assert seen == names
    assert "more: --after bob" in await run(gateway, "account", "list", "--limit", "2")


def test_a_ledger_that_is_not_here_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FAREBOX_LEDGER_URL", raising=False)
    answer = CliRunner().invoke(farebox, ["account", "list"])
    assert answer.exit_code == 1
    assert str(tmp_path / ".farebox") in answer.output
