"""Calls that last longer than any proxy waits: kept open, and made once."""

from __future__ import annotations

import httpx
import pytest

from tests.console.stack import Stack
from tests.facades.openai_clients import charged, client_of, generations

pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.long]

SEVENTY_SECONDS = {"sandbox": {"delay_seconds": 70}}


@pytest.mark.timeout(300)
def test_seventy_seconds_pass_without_a_timeout_and_nothing_is_made_twice(stack: Stack) -> None:
    """The client gives up after 30 seconds in which no byte comes, as an impatient proxy does."""
    account = stack.account()
    client = client_of(stack, account, timeout=httpx.Timeout(30), max_retries=0)
    video = client.videos.create(model="wan-2.2", prompt="long", extra_body=SEVENTY_SECONDS)
    made = client.images.generate(model="flux-dev", prompt="long", extra_body=SEVENTY_SECONDS)
    assert len(made.data or []) == 1
    assert client.videos.poll(video.id).status == "completed"
    assert len(generations(stack, account)) == 2
    assert charged(stack, account) == 35
