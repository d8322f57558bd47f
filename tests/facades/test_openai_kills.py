"""The gateway is killed while it works on calls: with the package's own retries, each call makes one generation."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

from tests.console.stack import Stack
from tests.facades.openai_clients import client_of
from tests.lengths import LONG

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

KILLS = 100 if LONG else 2
SLOW = {"sandbox": {"delay_seconds": 0.5}}
IMAGE_CREDITS, VIDEO_CREDITS = 5, 30


def image(client: openai.OpenAI, prompt: str) -> str:
    """Make one, and the id of its generation."""
    made = client.images.generate(model="flux-dev", prompt=prompt, extra_body=SLOW)
    assert len(made.data or []) == 1
    return str((made.model_extra or {})["generation"])


def video(client: openai.OpenAI, prompt: str) -> str:
    """Begin one; its id."""
    return client.videos.create(model="wan-2.2", prompt=prompt, extra_body=SLOW).id


@pytest.mark.timeout(3600 if LONG else 180)
def test_killed_between_accepting_and_answering_nothing_is_made_twice(stack: Stack) -> None:
    """All calls are alike but every fourth, so that a retry has to tell its own from the calls before it."""
    account, chance = stack.account(top_up=100_000), random.Random(15)
    client = client_of(stack, account, max_retries=40)
    made = []
    with ThreadPoolExecutor() as threads:
        for number in range(KILLS):
            make = image if number % 3 else video
            call = threads.submit(make, client, "the same" if number % 4 else f"number {number}")
            time.sleep(chance.uniform(0, 0.7))  # where in its work the gateway is hit is up to chance
            stack.kill_gateway()
            made.append(call.result(timeout=120))
            stack.wait_until_ready()
    videos = made[::3]
    assert [client.videos.poll(one).status for one in videos] == ["completed"] * len(videos)
    assert len(set(made)) == KILLS, "each call has a generation of its own"
    totals = stack.call("GET", "/v1/usage", account.key)["totals"]
    assert totals["generations"] == totals["outputs"] == KILLS, "and none but these was made"
    assert totals["credits"] == VIDEO_CREDITS * len(videos) + IMAGE_CREDITS * (KILLS - len(videos))
    assert stack.call("GET", "/v1/balance", account.key)["held"] == 0
