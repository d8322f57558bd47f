"""Predictions through the real `replicate` package, sync and async: made, failed, cancelled, refused, found again."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from replicate.exceptions import ModelError, ReplicateError

from tests.console.stack import Account, Stack
from tests.facades.openai_clients import charged, generations, refusals
from tests.facades.replicate_clients import ClientOf, async_client_of, clients
from tests.made_media import picture
from tests.until import until

SLOW = {"prompt": "slow", "sandbox": {"delay_seconds": 600}}
FLUX = "farebox/flux-dev"


@pytest.fixture
def client_of(stack: Stack) -> Iterator[ClientOf]:
    with clients(stack) as make:
        yield make


def error_of(client_of: ClientOf, account: Account, model: str, **given: Any) -> ReplicateError:
    with pytest.raises(ReplicateError) as raised:
        client_of(account).models.predictions.create(model, {"prompt": "x", **given})
    return raised.value


def test_run_returns_what_was_delivered_and_charges_its_quote_once(stack: Stack, client_of: ClientOf) -> None:
    account = stack.account()
    output = client_of(account).run("black-forest-labs/flux-dev", {"prompt": "a cat", "num_outputs": 2})
    assert [httpx.get(url).content[1:4] for url in output] == [b"PNG", b"PNG"]
    (generation,) = generations(stack, account)
    assert (generation["model"], generation["outputs_requested"]) == ("flux-dev", 2)
    assert charged(stack, account) == generation["price"]["credits"] == 10


async def test_the_async_client_runs_a_version_and_reads_its_schema(stack: Stack) -> None:
    account = stack.account()
    async with async_client_of(stack, account) as client:
        model = await client.models.async_get(FLUX)
        assert model.latest_version is not None
        version = model.latest_version
        schemas = version.openapi_schema["components"]["schemas"]
        assert schemas["Output"]["type"] == "array"
        assert schemas["Input"]["properties"]["resolution"]["enum"] == ["1K", "2K"]
        assert schemas["Input"]["properties"]["seed"]["type"] == "integer"
        output = await client.async_run(f"{FLUX}:{version.id}", {"prompt": "a dog", "resolution": "2K"})
        assert isinstance(output, list)
        assert len(output) == 1
        (generation,) = generations(stack, account)
        assert generation["settings"]["resolution"] == "2K"


def test_a_prediction_is_created_by_version_model_and_deployment(stack: Stack, client_of: ClientOf) -> None:
    account = stack.account()
    client = client_of(account)
    version = client.models.get(FLUX).versions.list()[0]
    made = [
        client.predictions.create(version, {"prompt": "x"}),
        client.predictions.create(FLUX, {"prompt": "x"}),
        client.predictions.create(model=FLUX, input={"prompt": "x"}),
        client.deployments.get(FLUX).predictions.create({"prompt": "x"}),
    ]
    assert {(one.status, one.model, one.version) for one in made} == {("starting", FLUX, version.id)}
    for one in made:
        one.wait()
    assert {one.status for one in made} == {"succeeded"}
    assert made[0].progress is not None
    assert made[0].progress.percentage == 1
    assert len(generations(stack, account)) == 4
    assert charged(stack, account) == 20


def test_a_wait_that_ends_early_says_starting_and_run_goes_on_polling(stack: Stack, client_of: ClientOf) -> None:
    account = stack.account()
    client = client_of(account)
    asked = {"prompt": "x", "sandbox": {"delay_seconds": 2}}
    prediction = client.models.predictions.create(FLUX, asked, wait=1)
    assert (prediction.status, prediction.output) == ("starting", None)
    output = client.run(FLUX, asked, wait=1)
    assert isinstance(output, list)
    assert len(output) == 1


def test_a_failure_is_a_model_error_that_says_why_and_costs_nothing(stack: Stack, client_of: ClientOf) -> None:
    account = stack.account()
    with pytest.raises(ModelError, match="moderated: The model provider's content policy"):
        client_of(account).run(FLUX, {"prompt": "x", "sandbox": {"fail": "moderated"}})
    assert charged(stack, account) == 0


def test_a_cancelled_prediction_gives_its_credits_back(stack: Stack, client_of: ClientOf) -> None:
    account = stack.account()
    client = client_of(account)
    prediction = client.models.predictions.create(FLUX, SLOW)
    prediction.cancel()
    prediction.wait()
    assert (prediction.status, prediction.output) == ("canceled", None)
    assert client.predictions.cancel(prediction.id).status == "canceled"
    assert stack.call("GET", "/v1/balance", account.key)["available"] == 100


def test_without_credits_and_at_a_keys_limit_it_is_402_with_our_message(stack: Stack, client_of: ClientOf) -> None:
    poor, rich = stack.account(free=False), stack.account(top_up=100)
    for account, key, code, said in (
        (poor, poor, "insufficient_credits", "Not enough credits"),
        (rich, stack.limited(rich), "limit_reached", "limit"),
    ):
        error = error_of(client_of, key, FLUX)
        assert (error.status, error.type, error.title) == (402, code, "Payment Required")
        assert said in (error.detail or "")
        assert generations(stack, account) == []
        assert refusals(stack, account) == 1, "it is not retried"


@pytest.mark.parametrize(
    ("model", "given", "seen"),
    [
        (FLUX, {"resolution": "9K"}, (422, "invalid_settings", "resolution")),
        (FLUX, {"guidance": 3}, (422, "invalid_settings", "guidance")),
        (FLUX, {"image": 7}, (422, "invalid_request", "image")),
        (FLUX, {"max_credits": 1}, (422, "price_above_ceiling", "max_credits")),
        ("farebox/sdxl", {}, (404, "unknown_model", "farebox/sdxl")),
        ("google/nano-banana-pro", {}, (403, "subscription_required", "Nano Banana Pro")),
    ],
)
def test_what_cannot_be_made_is_refused_by_name(
    stack: Stack, client_of: ClientOf, model: str, given: Any, seen: Any
) -> None:
    account = stack.account()
    error = error_of(client_of, account, model, **given)
    assert (error.status, error.type) == seen[:2]
    assert seen[2] in (error.detail or "")
    assert generations(stack, account) == []


def test_a_wrong_key_is_401_and_an_unknown_call_404(stack: Stack, client_of: ClientOf) -> None:
    with pytest.raises(ReplicateError) as wrong:
        client_of(Account("nobody", "fbx_none")).predictions.list()
    with pytest.raises(ReplicateError) as unknown:
        client_of(stack.account()).collections.list()
    assert (wrong.value.status, wrong.value.type) == (401, "invalid_key")
    assert (unknown.value.status, unknown.value.type) == (404, "not_found")


def test_a_file_is_uploaded_used_as_an_input_and_deleted(stack: Stack, client_of: ClientOf) -> None:
    account = stack.account()
    client = client_of(account)
    client.run("farebox/nano-banana", {"prompt": "bluer", "image_input": [io.BytesIO(picture("PNG"))]})
    (generation,) = generations(stack, account)
    assert [one["kind"] for one in generation["inputs"]] == ["image"]
    made = client.files.create(io.BytesIO(picture("PNG")))
    found = client.files.get(made.id)
    assert (found.id, found.size, found.content_type) == (made.id, len(picture("PNG")), "image/png")
    assert datetime.fromisoformat(found.created_at) <= datetime.now(UTC)
    stranger = client_of(stack.account())
    with pytest.raises(ReplicateError):
        stranger.files.get(made.id)
    client.files.delete(made.id)
    with pytest.raises(ReplicateError) as gone:
        client.files.get(made.id)
    assert gone.value.status == 404


def test_outputs_are_streamed(stack: Stack, client_of: ClientOf) -> None:
    account = stack.account()
    events = list(client_of(account).stream(FLUX, input={"prompt": "x", "num_outputs": 2}))
    assert [event.event.value for event in events] == ["output", "output", "done"]
    assert httpx.get(str(events[0])).content[1:4] == b"PNG"


async def test_a_client_that_hangs_up_finds_its_prediction_in_the_list(stack: Stack) -> None:
    account = stack.account()
    asked = {"prompt": "x", "sandbox": {"delay_seconds": 3}}
    async with async_client_of(stack, account) as client:
        asking = asyncio.create_task(client.models.predictions.async_create(FLUX, asked, wait=True))
        await until(lambda: generations(stack, account))
        asking.cancel()
        await asyncio.wait([asking])
        (found,) = (await client.predictions.async_list()).results
        await found.async_wait()
    assert (found.status, charged(stack, account)) == ("succeeded", 5)


def test_the_list_is_paged_and_another_accounts_predictions_are_not_in_it(stack: Stack, client_of: ClientOf) -> None:
    account = stack.account()
    client = client_of(account)
    prediction = client.models.predictions.create(FLUX, SLOW)
    assert [one.id for one in client.predictions.list()] == [prediction.id]
    stranger = client_of(stack.account())
    assert list(stranger.predictions.list()) == []
    with pytest.raises(ReplicateError) as missing:
        stranger.predictions.get(prediction.id)
    assert missing.value.status == 404
    prediction.cancel()


async def test_a_create_waits_for_room_and_is_never_429(stack: Stack) -> None:
    """The one above the plan's limit is made when another is cancelled, and is 503 if none is."""
    account = stack.account(top_up=1000)
    made: list[str] = []

    def fill() -> None:
        while True:
            made.append(stack.generate(account, sandbox=SLOW["sandbox"])["id"])

    with pytest.raises(AssertionError, match="waiting_room_full"):
        fill()
    async with async_client_of(stack, account) as client:
        with pytest.raises(ReplicateError) as full:
            await client.models.predictions.async_create(FLUX, SLOW, wait=1)
        assert (full.value.status, full.value.type) == (503, "waiting_room_full")
        waiting = asyncio.create_task(client.models.predictions.async_create(FLUX, SLOW))
        await client.predictions.async_cancel(made[-1])
        prediction = await waiting
        assert (prediction.status, prediction.id in made) == ("starting", False)
