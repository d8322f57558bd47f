"""The real `fal_client`, in the versions that programs have. It speaks HTTPS only, which a proxy does here."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from importlib.metadata import version as version_of
from pathlib import Path

import httpx
import pytest

from tests.console.stack import Stack
from tests.facades.conftest import Installed
from tests.facades.openai_clients import charged, generations, refusals
from tests.facades.tls import TlsProxy
from tests.until import until
from tests.webhooks.receiving import check_signature, receiving

PROGRAM = Path(__file__).with_name("fal_program.py")
HERE = version_of("fal_client")
ERRORS = {
    "failed": [422, "moderated"],
    "failed in run": [500, "provider_failed"],
    "ended": [400, "already_completed"],
    "size": [422, "invalid_settings"],
    "prompt": [422, "invalid_request"],
    "model": [404, "unknown_model"],
    "webhook": [422, "invalid_request"],
    "gated": [403, "subscription_required"],
    "poor": [402, "insufficient_credits"],
    "poor in run": [402, "insufficient_credits"],
    "limited": [402, "limit_reached"],
    "key": [401, "invalid_key"],
    "request": [404, "not_found"],
}


def environment_of(proxy: TlsProxy) -> dict[str, str]:
    """Where `fal_client` finds the gateway, as docs/clients.md says it."""
    return os.environ | {
        "FAL_RUN_HOST": f"{proxy.host}/fal/run",
        "FAL_QUEUE_RUN_HOST": f"{proxy.host}/fal",
        "SSL_CERT_FILE": str(proxy.certificate),
    }


@pytest.mark.parametrize("version", [HERE, pytest.param("0.14.1", marks=pytest.mark.long)])
async def test_a_program_written_for_fal_runs(
    stack: Stack, https: TlsProxy, installed: Installed, version: str
) -> None:
    account, poor = stack.account(top_up=1000), stack.account(free=False)
    limited = stack.limited(account)
    environment = environment_of(https)
    if version != HERE:
        environment["PYTHONPATH"] = str(installed(f"fal_client=={version}"))
    async with receiving() as receiver:
        command = [sys.executable, str(PROGRAM), account.key, poor.key, limited.key, f"{receiver.url}/fal?order=1"]
        program = await asyncio.to_thread(
            subprocess.run, command, env=environment, capture_output=True, text=True, check=False, timeout=150
        )
        assert program.returncode == 0, program.stderr
        await until(lambda: receiver.told)
    seen = json.loads(program.stdout)
    (told,) = receiver.told
    assert json.loads(told.body)["request_id"] == seen.pop("told of")
    jwks = await asyncio.to_thread(httpx.get, f"{stack.address}/fal/.well-known/jwks.json")
    check_signature(jwks.json(), told)
    errors, statuses = seen.pop("errors"), seen.pop("statuses")
    assert statuses[-1] == "Completed"
    assert len(statuses) <= 10, (
        "a status is held until there is news, for up to 4 seconds; unheld, it is asked every 0.1"
    )
    assert seen == {
        "version": version,
        "two": [[True, "image/png"]] * 2,
        "run": 1,
        "streamed": [1],
        "by id": 1,
        "status": "Completed",
        "timed out": [True, [499, "cancelled"]],
        "cancelled": [True, "Completed", "client_cancelled", [499, "cancelled"]],
        "async": {"made": [1] * 4, "cancelled": 499},
    }
    assert {name: error[:2] for name, error in errors.items()} == ERRORS
    assert "Not enough credits" in errors["poor"][2]
    # One charge for each call that delivered: two images, then run, stream and by id, then four asynchronous ones.
    assert charged(stack, account) == (2 + 3 + 4) * 5
    assert len(generations(stack, account)) == 1 + 3 + 2 + 2 + 4 + 1, "no call was made twice, refusals made none"
    assert generations(stack, poor) == []
    assert (refusals(stack, poor), refusals(stack, account)) == (2, 1), "402 is not retried"
