"""Calls that last: kept open past every timeout, made once, and found by their id by whoever hangs up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.console.stack import Stack
from tests.facades.calling import calling
from tests.facades.openai_clients import charged, client_of, generations
from tests.facades.replicate_clients import clients
from tests.facades.test_fal import environment_of
from tests.facades.tls import TlsProxy
from tests.lengths import LONG

# The clients wait for less without a byte: as proxies do, and in the short form as is shorter still.
SECONDS, CLIENT_SECONDS = (70, 30) if LONG else (10, 5)
FLUX, WAN = "farebox/flux-dev", "farebox/wan-2.2"

pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.timeout(300)]


def asked(prompt: str) -> dict[str, Any]:
    return {"prompt": prompt, "sandbox": {"delay_seconds": SECONDS}}


def test_calls_that_last_do_not_time_out_and_are_made_once(stack: Stack, https: TlsProxy) -> None:
    """`videos` and `images` of OpenAI, `run` of Replicate, `subscribe`, `run` and `stream` of fal, side by side."""
    account = stack.account(plan="creator")
    client = client_of(stack, account, timeout=httpx.Timeout(CLIENT_SECONDS), max_retries=0)
    more = {"sandbox": {"delay_seconds": SECONDS}}
    environment = environment_of(https) | {"FAL_KEY": account.key}
    with clients(stack) as replicate_of, calling("fal", environment) as fal, ThreadPoolExecutor() as threads:
        run = threads.submit(replicate_of(account).run, WAN, asked("a run"), wait=60 if LONG else 1)
        image = threads.submit(client.images.generate, model="flux-dev", prompt="an image", extra_body=more)
        begun = client.videos.create(model="wan-2.2", prompt="a video", extra_body=more)
        video = threads.submit(client.videos.poll, begun.id)
        left = left_by_its_client(stack, account.key)
        by_fal = fal([("subscribe", WAN, asked("fal")), ("run", WAN, asked("fal")), ("stream", FLUX, asked("fal"))])
        found = fal([("result", FLUX, {"request_id": left})])
        assert len(list(run.result())) == 1
        assert len(image.result().data or []) == 1
        assert video.result().status == "completed"
    assert [generation for generation, _ in found] == [left]
    made = generations(stack, account)
    assert {begun.id, left, *(generation for generation, _ in by_fal)} < {one["id"] for one in made}
    assert (len(made), charged(stack, account)) == (7, 4 * 30 + 3 * 5)


def left_by_its_client(stack: Stack, key: str) -> str:
    """The generation of a `run` whose client hangs up once it has the first byte."""
    address, headers = f"{stack.address}/fal/run/{FLUX}", {"Authorization": f"Key {key}"}
    with httpx.stream("POST", address, json=asked("left"), headers=headers, timeout=30) as response:
        return response.headers["X-Farebox-Generation"]
