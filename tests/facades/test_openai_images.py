"""Images through the real `openai` package, in the versions that programs have."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.cases import cases
from tests.console.stack import Stack
from tests.facades.conftest import Installed
from tests.facades.openai_clients import charged, client_of, generations, refusals
from tests.made_media import picture
from tests.whole.everything import until

PROGRAM = Path(__file__).with_name("openai_program.py")
HERE = openai.__version__
# What these need and this environment has not.
VERSIONS = {HERE: (), "2.54.0": ("distro", "tqdm"), "1.109.1": ("distro", "tqdm")}


@pytest.mark.parametrize("version", [HERE, *(pytest.param(name, marks=pytest.mark.long) for name in [*VERSIONS][1:])])
def test_a_program_written_for_openai_runs(stack: Stack, installed: Installed, version: str) -> None:
    account, poor = stack.account(top_up=1000), stack.account(free=False)
    limited = stack.limited(account)
    environment = dict(os.environ)
    if version != HERE:
        environment["PYTHONPATH"] = str(installed(f"openai=={version}", *VERSIONS[version]))
    command = [sys.executable, str(PROGRAM), f"{stack.address}/openai/v1", account.key, poor.key, limited.key]
    program = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=150)
    assert program.returncode == 0, program.stderr
    seen = json.loads(program.stdout)
    errors, videos = seen.pop("errors"), seen.pop("videos", None)
    assert videos in (None, ["completed", "5", "1280x720", "ftyp", True, True])
    assert (videos is not None) == version.startswith("2.")
    assert seen == {
        "version": version,
        "made": ["683x1024", [True, True]],
        "events": ["image_generation.completed"],
        "slow": 1,
        "models": "nano-banana-2",
        "async": 3,
    }
    assert {name: error[:3] for name, error in errors.items()} == {
        "failed": ["BadRequestError", 400, "moderated"],
        "failed late": ["BadRequestError", 400, "moderated"],
        "size": ["BadRequestError", 400, "invalid_settings"],
        "model": ["NotFoundError", 404, "unknown_model"],
        "gated": ["PermissionDeniedError", 403, "subscription_required"],
        "poor": ["APIStatusError", 402, "insufficient_credits"],
        "limited": ["APIStatusError", 402, "limit_reached"],
        "key": ["AuthenticationError", 401, "invalid_key"],
        "path": ["NotFoundError", 404, "not_found"],
    }
    assert "Not enough credits" in errors["poor"][3]
    # One charge for each call that delivered: two at 35, one streamed, one slow, three side by side at 5.
    assert charged(stack, account) == 2 * 35 + 5 * 5 + (0 if videos is None else 30)
    made = 1 + 1 + 1 + 2 + 3 + (0 if videos is None else 1)
    assert len(generations(stack, account)) == made, "no call was made twice, refusals made none"
    assert generations(stack, poor) == []
    assert refusals(stack, poor) == refusals(stack, account) == 1, "402 is not retried"


def test_an_edit_sends_its_images_in_order_and_the_mask_last(stack: Stack) -> None:
    account = stack.account()
    images = [("a.png", picture("PNG")), ("b.png", picture("PNG"))]
    made = client_of(stack, account).images.edit(
        model="gpt-image-1", prompt="more blue", image=images, mask=("m.png", picture("PNG")), user="u-1"
    )
    (generation,) = generations(stack, account)
    assert made.model_extra == {"generation": generation["id"], "credits": 45}
    assert [one["kind"] for one in generation["inputs"]] == ["image"] * 3
    assert generation["metadata"] == {"user": "u-1"}


async def test_an_edit_is_streamed_to_the_async_client(stack: Stack) -> None:
    account = stack.account()
    async with openai.AsyncOpenAI(base_url=f"{stack.address}/openai/v1", api_key=account.key) as client:
        image = ("a.png", picture("PNG"))
        events = await client.images.edit(model="gpt-image-1", prompt="bluer", image=image, stream=True)
        assert [event.type async for event in events] == ["image_edit.completed"]
    assert charged(stack, account) == 45


def test_an_edit_that_is_none_is_refused_by_the_name_of_what_is_wrong(stack: Stack) -> None:
    client = client_of(stack, stack.account())
    with pytest.raises(openai.BadRequestError) as refused:
        client.images.edit(model="gpt-image-1", prompt="x", image=("a.png", b"no picture"))
    assert (refused.value.code, refused.value.param) == ("invalid_request", "body")
    with pytest.raises(openai.BadRequestError) as refused:
        client.images.edit(model="gpt-image-1", prompt="x", image=("a.png", picture("PNG")), size="5x5")
    assert (refused.value.code, refused.value.param) == ("invalid_settings", "size")


def test_the_response_format_says_what_comes_and_without_a_model_it_is_the_baseline_of_images(stack: Stack) -> None:
    account = stack.account()
    form: Any
    for form, has in (("url", [True, False]), ("b64_json", [False, True])):
        made = client_of(stack, account).images.generate(prompt="x", response_format=form)
        (image,) = made.data or []
        assert [image.url is not None, image.b64_json is not None] == has
    assert [one["model"] for one in generations(stack, account)] == ["flux-dev"] * 2


def test_what_was_delivered_before_a_failure_is_returned_and_charged(stack: Stack) -> None:
    account = stack.account()
    sandbox = {"sandbox": {"deliver": 1, "fail": "moderated"}}
    client = client_of(stack, account)
    made = client.images.generate(model="flux-dev", prompt="x", n=3, extra_body=sandbox)
    assert len(made.data or []) == 1
    assert made.model_extra is not None
    assert (made.model_extra["credits"], made.model_extra["incomplete"]["code"]) == (5, "moderated")
    seen: list[Any] = []
    with pytest.raises(openai.APIError, match="1 of 3 outputs were delivered") as stopped:
        seen.extend(client.images.generate(model="flux-dev", prompt="x", n=3, stream=True, extra_body=sandbox))
    assert stopped.value.code == "moderated"


def test_one_who_hangs_up_finds_the_generation_by_the_id_in_the_first_bytes(stack: Stack) -> None:
    account = stack.account()
    client = client_of(stack, account, timeout=1.0, max_retries=40)
    hanging = {"sandbox": {"hang": True}}
    with client.images.with_streaming_response.generate(model="flux-dev", prompt="x", extra_body=hanging) as answer:
        generation = answer.headers["x-farebox-generation"]
    assert [one["id"] for one in generations(stack, account)] == [generation]
    assert stack.call("GET", f"/v1/generations/{generation}", account.key)["status"] in {"queued", "running"}
    stack.call("POST", f"/v1/generations/{generation}/cancel", account.key)


def test_a_cancelled_call_raises_what_happened(stack: Stack) -> None:
    account = stack.account()
    client = client_of(stack, account, timeout=2.0, max_retries=40)
    with ThreadPoolExecutor() as threads:
        call = threads.submit(
            lambda: client.images.generate(model="flux-dev", prompt="x", extra_body={"sandbox": {"hang": True}})
        )
        (generation,) = until(lambda: generations(stack, account))
        stack.call("POST", f"/v1/generations/{generation['id']}/cancel", account.key)
        with pytest.raises(openai.BadRequestError) as raised:
            call.result(timeout=60)
    assert raised.value.code == "cancelled"
    assert charged(stack, account) == 0


def test_two_equal_calls_are_two_and_an_idempotency_key_makes_them_one(stack: Stack) -> None:
    account = stack.account()
    client = client_of(stack, account)
    for _ in range(2):
        client.images.generate(model="flux-dev", prompt="the same")
    assert len(generations(stack, account)) == 2
    same = [
        client.images.generate(model="flux-dev", prompt="the same", extra_headers={"Idempotency-Key": "k-1"})
        for _ in range(2)
    ]
    assert len({(one.model_extra or {})["generation"] for one in same}) == 1
    assert len(generations(stack, account)) == 3


@cases(("form", "opening"), [("jpeg", b"\xff\xd8\xff"), ("webp", b"RIFF"), ("png", b"\x89PNG")])
def test_the_output_format_is_the_one_that_was_asked_for(stack: Stack, form: Any, opening: bytes) -> None:
    made = client_of(stack, stack.account()).images.generate(model="gpt-image-1", prompt="x", output_format=form)
    (image,) = made.data or []
    assert made.output_format == form
    assert base64.b64decode(image.b64_json or "").startswith(opening)
