"""Quotes: a firm price, who would pay it, and a token that locks it (R6, R7, R23)."""

from __future__ import annotations

from typing import Any

import pytest
from itsdangerous import URLSafeTimedSerializer

from gateway.api import services
from gateway.api.ordering import quote_tokens
from tests.api.visitor import SKETCH, Visitor
from tests.cases import cases
from tests.until import until

ASKED = {"tool": "image", "model": "gallery", "settings": {"resolution": "2K"}, "outputs": 2}


async def test_a_quote_shows_its_sum_and_who_pays(gateway: Visitor, key: str) -> None:
    await gateway.subscribe()
    body = (await gateway.call("POST", "/v1/quotes", key, ASKED)).body
    assert body["credits"] == 147
    assert body["lines"] == [{"label": "Gallery · 2K", "credits": 73.5, "count": 2, "total": 147}]
    assert (body["allowed"], body["reason"]) == (True, None)
    assert (body["affordable"], body["shortfall"]) == (True, 0)
    assert body["allocation"] == [{"bucket": "free", "credits": 100}, {"bucket": "subscription", "credits": 47}]


async def test_a_quote_never_refuses_for_gating_or_for_want_of_credits(gateway: Visitor, key: str) -> None:
    reply = await gateway.call("POST", "/v1/quotes", key, ASKED)
    assert reply.status == 200
    body = reply.body
    assert (body["allowed"], body["reason"]) == (False, "subscription_required")
    assert "Gallery needs an active subscription" in body["message"]
    assert (body["affordable"], body["shortfall"]) == (False, 47)
    assert body["allocation"] == [{"bucket": "free", "credits": 100}]


async def test_a_quote_says_what_a_plan_limits(gateway: Visitor, key: str) -> None:
    await gateway.subscribe("basic")
    asked = {"tool": "video", "model": "clip", "settings": {"resolution": "1080p"}}
    body = (await gateway.call("POST", "/v1/quotes", key, asked)).body
    assert (body["allowed"], body["reason"]) == (False, "plan_limit")


async def test_r23_a_quote_locks_its_price_lines_and_rate_card(gateway: Visitor, key: str) -> None:
    quote = (await gateway.call("POST", "/v1/quotes", key, SKETCH)).body
    await _reprice(gateway)
    assert (await gateway.create(key)).body["price"]["credits"] == 7
    for _ in range(2):  # it is reusable
        price = (await gateway.create(key, quote=quote["quote"])).body["price"]
        assert price == {"credits": 5, "lines": quote["lines"], "rate_card": quote["rate_card"]}


async def test_r23_a_quote_binds_everything_but_the_prompt(gateway: Visitor, key: str) -> None:
    quote = (await gateway.call("POST", "/v1/quotes", key, SKETCH)).body["quote"]
    assert (await gateway.create(key, quote=quote, prompt="another prompt")).status == 202


@cases(
    ("change", "path"),
    [
        ({"model": "remote"}, "model"),
        ({"tool": "video", "model": "clip"}, "tool"),
        ({"outputs": 2}, "outputs"),
        ({"settings": {"strength": 0.75}}, "settings.strength"),
        ({"inputs": [{"kind": "image", "url": "https://example.com/a.png"}]}, "inputs"),
    ],
)
async def test_422_a_quote_for_another_request_names_what_differs(
    gateway: Visitor, key: str, change: dict[str, Any], path: str
) -> None:
    quote = (await gateway.call("POST", "/v1/quotes", key, SKETCH)).body["quote"]
    reply = await gateway.create(key, quote=quote, **change)
    assert (reply.status, reply.code) == (422, "quote_mismatch")
    assert path in reply.fields
    assert path in reply.message


async def test_422_a_quote_is_of_one_account(gateway: Visitor) -> None:
    quote = (await gateway.call("POST", "/v1/quotes", await gateway.account(), SKETCH)).body["quote"]
    reply = await gateway.create(await gateway.account("other"), quote=quote)
    assert (reply.status, reply.code, reply.fields) == (422, "quote_mismatch", ["quote"])
    assert b"acme" not in reply.raw


async def test_422_a_made_up_quote_is_no_quote(gateway: Visitor, key: str) -> None:
    quote = (await gateway.call("POST", "/v1/quotes", key, SKETCH)).body["quote"]
    changed = quote.replace(quote[5], "A" if quote[5] != "A" else "B", 1)
    for token in ("nonsense", changed, URLSafeTimedSerializer("x").dumps({"credits": 1})):
        reply = await gateway.create(key, quote=token)
        assert (reply.status, reply.code) == (422, "quote_mismatch")
        assert "POST /v1/quotes" in reply.message


async def test_409_an_old_quote_asks_for_a_new_one(gateway: Visitor, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    quote = (await gateway.call("POST", "/v1/quotes", key, SKETCH)).body["quote"]
    monkeypatch.setattr(quote_tokens, "QUOTE_SECONDS", -1)
    reply = await gateway.create(key, quote=quote)
    assert (reply.status, reply.code) == (409, "quote_expired")
    assert "POST /v1/quotes" in reply.message


async def test_r23_the_ceiling_is_held_against_the_quoted_price(gateway: Visitor, key: str) -> None:
    quote = (await gateway.call("POST", "/v1/quotes", key, SKETCH)).body["quote"]
    await _reprice(gateway)
    assert (await gateway.create(key, max_credits=5)).code == "price_above_ceiling"
    assert (await gateway.create(key, max_credits=5, quote=quote)).status == 202


async def _reprice(gateway: Visitor) -> None:
    """Sketches cost 7 from now on."""
    cards, path = gateway.app[services.RATE_CARDS], gateway.app[services.SETTINGS].rate_card
    assert path is not None
    version = cards.card.version
    path.write_text(path.read_text().replace("credits = 5\n", "credits = 7\n"))
    await until(lambda: cards.card.version != version)
