"""The gateway is killed while it works on calls of `fal_client` and `replicate`, which retry in their own ways.

`fal_client` marks no retry, version 2 of `replicate` counts them, and its version 1 retries no create.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import httpx
import pytest

from tests.console.stack import Account, Stack
from tests.facades.calling import calling
from tests.facades.conftest import Installed
from tests.facades.replicate_clients import clients
from tests.facades.test_fal import environment_of
from tests.facades.tls import TlsProxy
from tests.lengths import LONG

MODEL = "farebox/flux-dev"
CREDITS = 5
KILLS = 100 if LONG else 3  # in the short form one of each way to call
CREATES_KILLED = 100 if LONG else 1
LAST_WORDS_SECONDS = 0.5  # what the killed gateway had sent has come by then, and no other is up: one takes a second

pytestmark = pytest.mark.timeout(3600 if LONG else 180)

T = TypeVar("T")


def killed_meanwhile(stack: Stack, chance: random.Random, call: Callable[[], T]) -> tuple[T, float]:
    """What a call got though the gateway was killed, and when that was: where in its work is up to chance."""
    with ThreadPoolExecutor() as threads:
        calling = threads.submit(call)
        time.sleep(chance.uniform(0, 0.7))
        stack.kill_gateway()
        killed_at = time.monotonic()
        made = calling.result(timeout=120)
    stack.wait_until_ready()
    return made, killed_at


def slow(prompt: str) -> dict[str, Any]:
    return {"prompt": prompt, "sandbox": {"delay_seconds": 0.5}}


def check_the_account(stack: Stack, account: Account, calls: int) -> None:
    """One generation for each call, each charged once."""
    totals = stack.call("GET", "/v1/usage", account.key)["totals"]
    assert totals["generations"] == totals["outputs"] == calls
    assert totals["credits"] == CREDITS * calls
    assert stack.call("GET", "/v1/balance", account.key)["held"] == 0


def test_fal_gets_one_generation_for_each_call_though_the_gateway_is_killed(stack: Stack, https: TlsProxy) -> None:
    """Also of equal calls side by side.

    What was answered as the gateway was killed may be found again by an equal call: that this had its answer was
    perhaps not noted. So a new prompt follows it.
    """
    account, chance = stack.account(top_up=10_000), random.Random(15)
    calls, made, series = 0, set[str](), 0
    with calling("fal", environment_of(https) | {"FAL_KEY": account.key}) as call:
        for number in range(KILLS):
            how, times = (("run", 2), ("run", 1), ("subscribe", 1))[number % 3]
            asking = partial(call, times * [(how, MODEL, slow(f"series {series}"))])
            came, killed_at = killed_meanwhile(stack, chance, asking)
            answered_before = [at < killed_at + LAST_WORDS_SECONDS for _, at in came]
            series += how == "subscribe" or any(answered_before)
            ids = {generation for generation, _ in came}
            # Of two, if only one was answered, the other may have found it, beside its own.
            assert len(ids) == len(came) or len(set(answered_before)) > 1
            assert not ids & made, "each call has a generation of its own"
            made |= ids
            calls += len(came)
    check_the_account(stack, account, calls)


@pytest.mark.long
def test_replicate_2_gets_one_prediction_for_each_call_though_the_gateway_is_killed(
    stack: Stack, installed: Installed
) -> None:
    """All are alike, and so are two side by side."""
    account, chance = stack.account(top_up=10_000), random.Random(15)
    environment = os.environ | {
        "PYTHONPATH": str(installed("replicate==2.0.0b4", "distro")),
        "REPLICATE_BASE_URL": f"{stack.address}/replicate/v1",
        "REPLICATE_API_TOKEN": account.key,
    }
    made = list[str]()
    with calling("replicate", environment) as call:
        for number in range(KILLS):
            how, times = (("run", 2), ("run", 1), ("begin", 1))[number % 3]
            asking = partial(call, times * [(how, MODEL, slow("the same"))])
            came, _ = killed_meanwhile(stack, chance, asking)
            made += [generation for generation, _ in came]
        call([("run", MODEL, {"prompt": "the last"})])
    assert len(set(made)) == len(made), "each call has a generation of its own"
    check_the_account(stack, account, len(made) + 1)


def test_replicate_1_makes_at_most_one_prediction_and_one_that_raised_is_in_the_list(stack: Stack) -> None:
    """It does not retry a create, so what it has begun without an answer is found in the list, by its input."""
    account, chance = stack.account(top_up=10_000), random.Random(15)
    answered, raised = dict[str, str](), set[str]()
    with clients(stack) as client_of:
        client = client_of(account)

        def begin(prompt: str) -> None:
            try:
                answered[prompt] = client.models.predictions.create(MODEL, slow(prompt), wait=1).id
            except httpx.TransportError:
                raised.add(prompt)

        for number in range(CREATES_KILLED):
            killed_meanwhile(stack, chance, partial(begin, f"number {number}"))
        listed = {(one.input or {})["prompt"]: one for one in client.predictions.list()}
        for one in listed.values():
            one.wait()
    assert len(answered) + len(raised) == CREATES_KILLED
    assert {prompt: listed[prompt].id for prompt in answered} == answered
    check_the_account(stack, account, len(listed))
