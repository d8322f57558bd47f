"""docs/webhooks.md: its example is the file's own and receives what is sent; its words and numbers are the code's."""

from __future__ import annotations

import logging
import re
import runpy
from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args

import pytest
from aiohttp import web

from gateway.domain import EventType
from gateway.outside.receivers import Word
from tests.api.visitor import Visitor, open_gateway
from tests.webhooks.receiving import LOCAL, SIGNING_KEY, open_sender, register, send_round

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "webhooks.md").read_text()
EXAMPLE = DOCS / "examples" / "webhook_receiver.py"


@pytest.fixture
async def gateway(redis_url: str, tmp_path: Path) -> AsyncIterator[Visitor]:
    async with open_gateway(redis_url, tmp_path, webhook_networks=LOCAL, signing_key=SIGNING_KEY) as visitor:
        yield visitor


def test_the_page_shows_the_file() -> None:
    shown = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert shown is not None
    assert shown[1] in EXAMPLE.read_text()
    assert len(shown[1].splitlines()) <= 10


async def test_the_example_receives_an_event_once_and_only_from_us(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    runner = web.AppRunner(runpy.run_path(str(EXAMPLE))["app"])
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/farebox"
        key = await gateway.account()
        webhook = await register(gateway, key, url, "generation.succeeded")
        monkeypatch.setenv("FAREBOX_WEBHOOK_SECRET", webhook["secret"])
        generation = await gateway.finished(key)
        path = f"/v1/webhooks/{webhook['id']}/deliveries"
        async with open_sender(gateway.ledger) as teller:
            await send_round(teller)
            (delivery,) = (await gateway.call("GET", path, key)).body["data"]
            assert delivery["status"] == "delivered"
            await gateway.call("POST", f"{path}/{delivery['id']}/resend", key)
            await send_round(teller)
            said = [record.getMessage() for record in caplog.records if generation in record.getMessage()]
            assert len([line for line in said if line.startswith("generation.succeeded: ")]) == 1
            monkeypatch.setenv("FAREBOX_WEBHOOK_SECRET", "whsec_AAAA")
            await gateway.finished(key)
            await send_round(teller)
        refused, _ = (await gateway.call("GET", path, key)).body["data"]
        assert refused["status"] == "pending"
    finally:
        await runner.cleanup()


def test_the_page_names_every_event_and_every_word_of_the_table() -> None:
    named = set(re.findall(r"`([a-z_.]+)`", PAGE))
    assert set(EventType) <= named
    assert {*get_args(Word), "interrupted"} <= named


def test_the_page_has_the_pauses_of_the_script() -> None:
    lua = (Path(__file__).parents[2] / "gateway/ledger/lua/lib/tries.lua").read_text()
    pauses = re.search(r"local PAUSES = \{(.*?)\}", lua, re.DOTALL)
    assert pauses is not None
    assert (
        "".join(pauses[1].split())
        == "5*SECOND,30*SECOND,120*SECOND,600*SECOND,1800*SECOND,HOUR,2*HOUR," + "4*HOUR," * 5
    )
    assert "after 5 s, 30 s, 2 min, 10 min, 30 min, 1 h, 2 h, and five times after 4 h" in PAGE
