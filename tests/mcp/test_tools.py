"""What the tools do and refuse, between the official client and a real gateway."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.api import services
from gateway.client.calls import GatewayClient, GatewayUnreachable, Reply
from gateway.mcp import tools
from gateway.pricing.load import packaged_card_path
from tests.api.visitor import CARD, Visitor, open_gateway
from tests.mcp.assistant import BICYCLE, in_process
from tests.until import until


async def reprice(gateway: Visitor, credits_: int) -> None:
    """Change the price of a sketch in the rate card, and wait until it is in force."""
    cards, path = gateway.app[services.RATE_CARDS], gateway.app[services.SETTINGS].rate_card
    assert path is not None
    now = int(cards.card.models["sketch"].rates[0].millicredits) // 1000
    path.write_text(path.read_text().replace(f"credits = {now}\n", f"credits = {credits_}\n", 1))
    await until(lambda: cards.card.models["sketch"].rates[0].millicredits == credits_ * 1000)


async def generations(gateway: Visitor, key: str) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = (await gateway.call("GET", "/v1/generations", key)).body["data"]
    return data


@pytest.mark.parametrize("new_price", [4, 6])
async def test_a_price_that_is_no_longer_the_confirmed_one_is_refused_and_said(
    gateway: Visitor, new_price: int
) -> None:
    key = await gateway.account()
    async with in_process(gateway.address, key) as assistant:
        assert (await assistant.get("quote", **BICYCLE))["credits"] == 5
        await reprice(gateway, new_price)
        told = await assistant.call("generate", **BICYCLE, confirm_credits=5)
        assert told.error | {"message": ""} == {
            "code": "price_changed", "message": "", "confirmed": 5, "price": new_price,
        }  # fmt: skip
        assert f"confirm_credits={new_price}" in told.text
        assert await generations(gateway, key) == []
        made = await assistant.get("generate", **BICYCLE, confirm_credits=new_price)
        assert made["price"]["credits"] == new_price


async def test_a_price_that_rises_between_the_quote_and_the_order_is_refused_by_the_gateway(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, call = await gateway.account(), GatewayClient.call

    async def slow(client: GatewayClient, method: str, path: str, *rest: Any, **named: Any) -> dict[str, Any]:
        found = await call(client, method, path, *rest, **named)
        if path == "/v1/quotes":
            await reprice(gateway, 6)
        return found

    monkeypatch.setattr(GatewayClient, "call", slow)
    async with in_process(gateway.address, key) as assistant:
        error = await assistant.fail("generate", **BICYCLE, confirm_credits=5)
        assert (error["code"], error["price"]) == ("price_changed", 6)
        assert await generations(gateway, key) == []


async def test_a_retry_after_the_price_has_changed_returns_what_was_made(gateway: Visitor) -> None:
    """Whoever lost the answer would be told that nothing was charged, and pay for a second one at the new price."""
    key = await gateway.account()
    async with in_process(gateway.address, key) as assistant:
        made = await assistant.get("generate", **BICYCLE, confirm_credits=5)
        await reprice(gateway, 6)
        for confirmed in (5, 6):
            again = await assistant.get("generate", **BICYCLE, confirm_credits=confirmed)
            assert (again["id"], again["already_made"]) == (made["id"], True)
        assert len(await generations(gateway, key)) == 1


async def test_a_retry_of_a_call_whose_answer_was_lost_buys_nothing_twice(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the assistant's program has started the server anew meanwhile: nothing is remembered in it."""
    key, exchange = await gateway.account(), GatewayClient.exchange

    async def cut(client: GatewayClient, method: str, path: str, *rest: Any, **named: Any) -> Reply:
        reply = await exchange(client, method, path, *rest, **named)
        if path == "/v1/generations":
            raise GatewayUnreachable("the connection was cut")
        return reply

    async with in_process(gateway.address, key) as assistant:
        with monkeypatch.context() as cutting:
            cutting.setattr(GatewayClient, "exchange", cut)
            error = await assistant.fail("generate", **BICYCLE, confirm_credits=5)
            assert error["code"] == "gateway_unreachable"
    async with in_process(gateway.address, key) as assistant:
        again = await assistant.get("generate", **BICYCLE, confirm_credits=5, outputs=1)
        assert again["already_made"]
        assert [made["id"] for made in await generations(gateway, key)] == [again["id"]]


async def test_identical_calls_at_once_make_one_and_a_key_of_the_caller_makes_another(gateway: Visitor) -> None:
    key = await gateway.account()
    async with in_process(gateway.address, key) as assistant:
        same = [assistant.get("generate", **BICYCLE, confirm_credits=5) for _ in range(5)]
        assert len({made["id"] for made in await asyncio.gather(*same)}) == 1
        other = await assistant.get("generate", **BICYCLE, confirm_credits=5, idempotency_key="second")
        again = await assistant.get("generate", **BICYCLE, confirm_credits=5, idempotency_key="second")
        assert (again["id"], again["already_made"]) == (other["id"], True)
        assert len(await generations(gateway, key)) == 2
        tagged = await assistant.get("generate", **BICYCLE, confirm_credits=5, tags={"project": "apollo"})
        assert tagged["tags"] == {"project": "apollo"}
        assert tagged["id"] not in {other["id"], again["id"]}


async def test_a_key_of_the_caller_with_other_arguments_is_refused(gateway: Visitor) -> None:
    key = await gateway.account()
    async with in_process(gateway.address, key) as assistant:
        await assistant.get("generate", **BICYCLE, confirm_credits=5, idempotency_key="once")
        others: tuple[tuple[dict[str, Any], int], ...] = (
            ({"prompt": "a blue one"}, 5),
            ({"settings": {"strength": 0.25}}, 5),
            ({"outputs": 2}, 10),
        )
        for changed, price in others:
            order = BICYCLE | {"confirm_credits": price, "idempotency_key": "once"} | changed
            assert (await assistant.fail("generate", **order))["code"] == "idempotency_key_reused"
        await reprice(gateway, 6)
        error = await assistant.fail(
            "generate", **BICYCLE | {"prompt": "a blue one"}, confirm_credits=5, idempotency_key="once"
        )
        assert error["code"] == "price_changed"


async def test_without_credits_the_error_says_how_many_are_missing_and_the_ways_out(gateway: Visitor) -> None:
    key = await gateway.account()
    clip = {"tool": "video", "model": "clip", "prompt": "rain", "settings": {"duration": 8}}
    async with in_process(gateway.address, key) as assistant:
        price = (await assistant.get("quote", **clip))["credits"]
        await assistant.get("generate", **clip, confirm_credits=price)
        quoted = await assistant.get("quote", **clip)
        assert (quoted["affordable"], quoted["shortfall"]) == (False, 33.85)
        told = await assistant.call("generate", **clip | {"prompt": "more rain"}, confirm_credits=price)
        assert (told.error["code"], told.error["status"]) == ("insufficient_credits", 402)
        assert told.error["missing"] == 33.85
        assert told.error["ways_out"].keys() == {"wait", "top_up", "upgrade"}
        assert f"Missing: {told.error['missing']} credits" in told.text


async def test_what_the_plan_does_not_allow_is_shown_with_the_price_and_refused(gateway: Visitor) -> None:
    key = await gateway.account()
    gallery = {"tool": "image", "model": "gallery", "prompt": "a painting"}
    async with in_process(gateway.address, key) as assistant:
        assert (await assistant.get("quote", **gallery))["reason"] == "subscription_required"
        error = await assistant.fail("generate", **gallery, confirm_credits=49)
        assert (error["code"], error["status"]) == ("subscription_required", 403)


async def test_a_reached_limit_and_a_bound_key_are_said_with_what_to_do(gateway: Visitor) -> None:
    await gateway.account()
    path, limit = "/v1/admin/accounts/acme/keys", {"credits": 3, "period": "daily"}
    made = (await gateway.call("POST", path, gateway.admin, {"limit": limit})).body
    async with in_process(gateway.address, made["key"]) as assistant:
        told = await assistant.call("generate", **BICYCLE, confirm_credits=5)
        assert (told.error["code"], told.error["status"]) == ("limit_reached", 402)
        assert (told.error["limit"], told.error["remaining"], told.error["whose"]) == (limit, 3, "key")
        assert "daily limit of 3 credits is reached" in told.text
        assert "Tell the user." in told.text
        await gateway.call("PATCH", f"{path}/{made['id']}", gateway.admin, {"tools": ["video"]})
        told = await assistant.call("quote", **BICYCLE)
        assert (told.error["code"], told.error["allowed"]) == ("key_restricted", ["video"])


async def test_a_full_waiting_room_says_when_to_retry(gateway: Visitor) -> None:
    key = await gateway.account()
    async with in_process(gateway.address, key) as assistant:
        for number in range(3):  # two in work, one that waits
            await assistant.get("generate", **BICYCLE, confirm_credits=5, idempotency_key=f"number-{number}")
        told = await assistant.call("generate", **BICYCLE, confirm_credits=5, idempotency_key="number-3")
        assert (told.error["code"], told.error["status"]) == ("waiting_room_full", 429)
        assert told.error["retry_after_seconds"] == 10
        assert "Retry after 10 seconds" in told.text


async def test_the_key_of_an_operator_is_refused_with_the_key_that_is_needed(gateway: Visitor) -> None:
    async with in_process(gateway.address, gateway.admin) as assistant:
        told = await assistant.call("get_balance")
        assert told.is_error
        told = await assistant.call("generate", **BICYCLE, confirm_credits=5)
        assert told.error["code"] == "forbidden"
        assert "FAREBOX_KEY" in told.text


async def test_a_wrong_key_is_an_error_that_says_where_keys_are_set(gateway: Visitor) -> None:
    async with in_process(gateway.address, "fbx_" + "x" * 43) as assistant:
        assert (await assistant.client.list_tools()).tools, "they are the same for everybody"
        told = await assistant.call("generate", **BICYCLE, confirm_credits=5)
        assert told.error["code"] == "invalid_key"
        assert "FAREBOX_KEY" in told.text


async def test_another_accounts_generation_is_not_there(gateway: Visitor) -> None:
    other = await gateway.made(await gateway.account("other"))
    async with in_process(gateway.address, await gateway.account()) as assistant:
        for tool in ("get_generation", "cancel_generation"):
            assert (await assistant.fail(tool, generation=other))["code"] == "not_found"
        assert (await assistant.fail("get_generation", generation="../balance"))["code"] == "not_found"


async def test_a_gateway_that_is_not_there_is_an_error_and_the_server_goes_on() -> None:
    async with in_process("http://127.0.0.1:9", "fbx_none") as assistant:
        for _ in range(2):
            told = await assistant.call("generate", **BICYCLE, confirm_credits=5)
            assert told.error["code"] == "gateway_unreachable"
            assert "http://127.0.0.1:9" in told.text
            assert "same arguments is safe" in told.text


async def test_arguments_that_do_not_fit_are_named_and_not_repeated(gateway: Visitor) -> None:
    async with in_process(gateway.address, await gateway.account()) as assistant:
        told = await assistant.call("generate", **BICYCLE, confirm_credits="a secret", size="big")
        assert told.error["code"] == "invalid_arguments"
        assert [field["path"] for field in told.error["fields"]] == ["confirm_credits", "size"]
        assert "secret" not in told.text
        told = await assistant.call("quote", **BICYCLE, settings={"strength": 7})
        assert (told.error["code"], told.error["fields"][0]["path"]) == ("invalid_settings", "settings.strength")
        assert "list_models" in told.text


async def test_a_fault_of_ours_ends_one_call_and_is_logged_without_what_was_asked(
    gateway: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(given: Any) -> str:
        raise TypeError(given.prompt)

    monkeypatch.setattr(tools, "_derived", fails)
    faults: list[str] = []
    async with in_process(gateway.address, await gateway.account(), faults) as assistant:
        assert (await assistant.fail("generate", **BICYCLE, confirm_credits=5))["code"] == "internal"
        assert (await assistant.get("get_balance"))["available"] == 100
    (fault,) = faults
    assert fault.startswith("generate failed: TypeError\n")
    assert "_derived" in fault
    assert BICYCLE["prompt"] not in fault


async def test_every_combination_has_the_price_that_a_quote_gives(gateway: Visitor) -> None:
    key = await gateway.account()
    async with in_process(gateway.address, key) as assistant:
        models = {model["id"]: model for model in (await assistant.get("list_models"))["models"]}
        assert models.keys() == {"sketch", "gallery", "remote", "clip"}
        clip = models["clip"]
        assert [price["settings"] for price in clip["prices"]] == [
            {"duration": seconds} for seconds in (4, 1, 2, 3, 5, 6, 7, 8)
        ]
        for price in clip["prices"][::3]:
            quoted = await assistant.get("quote", tool="video", model="clip", settings=price["settings"])
            assert price["credits"] == quoted["credits"]
        assert "allowed" not in clip
        pro = models["gallery"]
        assert [price["credits"] for price in pro["prices"]] == [49, 73.5]
        assert (pro["allowed"], pro["reason"]) == (False, "subscription_required")
        videos = (await assistant.get("list_models", tool="video"))["models"]
        assert [model["id"] for model in videos] == ["clip"]
        error = await assistant.fail("list_models", model="clop")
        assert error["code"] == "unknown_model"
        assert "clip" in error["message"]


async def test_combinations_without_room_are_left_out_and_forbidden_ones_are_not_shown(gateway: Visitor) -> None:
    path = gateway.app[services.SETTINGS].rate_card
    assert path is not None
    path.write_text(
        path.read_text()
        + """
[models.fine]
name = "Fine"
tool = "image"
provider = "sandbox"
inputs = { image = 2 }
[models.fine.settings]
steps = { min = 1, max = 150, default = 7 }
fast = { values = [false, true] }
[[models.fine.rates]]
credits = 1
credits_per = { steps = { credits = 1, over = 1 }, input_images = { credits = 2, over = 0 } }
[[models.fine.forbidden]]
when = { fast = true, steps = [1, 2] }
reason = "Fast takes three steps."
"""
    )
    await until(lambda: "fine" in gateway.app[services.RATE_CARDS].card.models)
    async with in_process(gateway.address, await gateway.account()) as assistant:
        models = {model["id"]: model for model in (await assistant.get("list_models"))["models"]}
        assert (len(models["fine"]["prices"]), models["fine"]["combinations_left_out"]) == (100, True)
        assert "combinations_left_out" not in models["clip"]
        (fine,) = (await assistant.get("list_models", model="fine"))["models"]
        assert (len(fine["prices"]), "combinations_left_out" in fine) == (298, False)
        assert fine["prices"][0] == {"settings": {"steps": 7, "fast": False}, "credits": 7}
        assert fine["price_also_depends_on"] == ["input_images"]
        assert {"steps": 2, "fast": True} not in [price["settings"] for price in fine["prices"]]


async def test_the_examples_whole_list_is_short_enough_to_be_read(redis_url: str, tmp_path: Path) -> None:
    """With every seed and aspect ratio it was 127,000 characters long, and left most prices out."""
    async with open_gateway(redis_url, tmp_path, rate_card=packaged_card_path()) as gateway:
        key = await gateway.account()
        await gateway.subscribe("basic")
        async with in_process(gateway.address, key) as assistant:
            told = await assistant.call("list_models")
    models = told.value["models"]
    assert len(told.text) < 45_000
    assert [model["id"] for model in models if "combinations_left_out" in model] == []
    assert sum(len(model["prices"]) for model in models) > 200


async def test_prices_are_those_of_the_account_now_with_its_discounts_and_by_its_volume(
    redis_url: str, tmp_path: Path
) -> None:
    tiers = "credits = 5\ngraduated = [{ over = 3, credits = 4 }]\n"
    card = CARD.read_text().replace("credits = 5\n", tiers, 1) + "[plans.basic.discounts]\nsketch = 0.5\n"
    (tmp_path / "pricing.toml").write_text(card)
    async with open_gateway(redis_url, tmp_path) as gateway:
        key = await gateway.account()
        await gateway.made(key, outputs=3)
        await gateway.subscribe("basic")
        async with in_process(gateway.address, key) as assistant:
            (sketch,) = (await assistant.get("list_models", model="sketch"))["models"]
            assert (sketch["prices"][0]["credits"], sketch["prices"][0]["list_credits"]) == (2, 4)
            assert sketch["ordered_this_month"] == 3
            assert sketch["graduated"] == [{"when": {}, "credits": 5, "graduated": [{"over": 3, "credits": 4}]}]
            assert (await assistant.get("quote", **BICYCLE))["credits"] == 2
            (gallery,) = (await assistant.get("list_models", model="gallery"))["models"]
            assert not {"graduated", "ordered_this_month"} & gallery.keys()
            assert all("list_credits" not in price for price in gallery["prices"])
