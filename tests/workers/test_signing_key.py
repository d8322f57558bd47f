"""Who signs with another key than the ledger is used with does not start; who signs nothing needs no key."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from gateway.errors import SettingsError
from gateway.settings import Settings
from gateway.startup.signing_key import mark_of
from tests.api.visitor import open_gateway
from tests.workers.stage import Stage
from workers.settings import caretaking, open_context


def settings_of(stage: Stage, folder: str, **more: str) -> Settings:
    return Settings.model_validate({"ledger_url": stage.url, "data": stage.directory / folder, **more})


async def known(stage: Stage, key: str = "") -> str:
    """A ledger that is used with a key."""
    return await stage.ledger.claim_signing_key(mark_of(key or secrets.token_urlsafe(32)))


async def test_a_second_gateway_with_another_key_does_not_start(redis_url: str, tmp_path: Path) -> None:
    async with open_gateway(redis_url, tmp_path) as first:
        with pytest.raises(SettingsError, match="uses another signing key"):
            async with open_gateway(redis_url, tmp_path, data=tmp_path / "elsewhere"):
                pass
        async with open_gateway(redis_url, tmp_path):  # with the same key any number do
            assert (await first.call("GET", "/readyz", None)).status == 200


async def test_a_caretaker_with_another_key_does_not_start(stage: Stage) -> None:
    await known(stage)
    settings = settings_of(stage, "elsewhere")
    async with open_context(settings) as place:
        with pytest.raises(SettingsError, match="uses another signing key"):
            async with caretaking(settings, place):
                pass


@pytest.mark.parametrize("given", ["signing_key", "public_url"])
async def test_a_worker_that_signs_or_is_given_another_key_does_not_start(stage: Stage, given: str) -> None:
    await known(stage)
    value = {"signing_key": secrets.token_urlsafe(32), "public_url": "https://media.example.com"}[given]
    with pytest.raises(SettingsError, match="uses another signing key"):
        async with open_context(settings_of(stage, "elsewhere", **{given: value})):
            pass


async def test_a_worker_that_signs_nothing_needs_no_key_and_makes_none(stage: Stage) -> None:
    await known(stage)
    async with open_context(settings_of(stage, "worker")):
        assert not (stage.directory / "worker" / "signing-key").exists()


async def test_a_worker_and_a_caretaker_with_the_right_key_start(stage: Stage) -> None:
    key = secrets.token_urlsafe(32)
    await known(stage, key)
    settings = settings_of(stage, "elsewhere", signing_key=key, public_url="https://media.example.com")
    async with open_context(settings) as place, caretaking(settings, place):
        pass
