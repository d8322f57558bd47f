"""Which provider is used, and what stops the start."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import SettingsError
from gateway.payments import CheckoutLinks, payments_of
from gateway.settings import Settings
from tests.unit.payments.test_stripe_events import BUNDLE

LINKS = CheckoutLinks("secret", "http://gate.example")


def chosen(tmp_path: Path, **settings: Any) -> str | None:
    made = payments_of(Settings(data=tmp_path, **settings), LINKS)
    return None if made is None else made.name


def test_test_mode_pays_at_a_click_and_others_not_at_all(tmp_path: Path) -> None:
    assert chosen(tmp_path, test_mode=True) == "local"
    assert chosen(tmp_path, test_mode=False) is None
    assert chosen(tmp_path, test_mode=True, payments="none") is None


def test_stripe_without_its_secrets_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        chosen(tmp_path, payments="stripe")
    assert [line.partition(":")[0] for line in str(raised.value).splitlines()] == [
        "FAREBOX_STRIPE_KEY",
        "FAREBOX_STRIPE_WEBHOOK_SECRET",
    ]
    with pytest.raises(SettingsError, match=r"^FAREBOX_STRIPE_WEBHOOK_SECRET: "):
        chosen(tmp_path, payments="stripe", stripe_key="sk_test_1")


@pytest.mark.parametrize("secret", ["whsec_1", "whsec_" + "a" * 32])
async def test_a_live_stripe_with_a_webhook_secret_that_can_be_guessed_does_not_start(
    tmp_path: Path, secret: str
) -> None:
    """Whoever guesses it signs an event that pays for a plan."""
    stripe = {"payments": "stripe", "stripe_key": "sk_live_1"}
    with pytest.raises(SettingsError, match=r"^FAREBOX_STRIPE_WEBHOOK_SECRET: .*dashboard"):
        chosen(tmp_path, **stripe, stripe_webhook_secret=secret)
    real = "whsec_" + secrets.token_hex(16)
    made = payments_of(Settings(data=tmp_path, **stripe, stripe_webhook_secret=real), LINKS)  # type: ignore[arg-type]
    assert made is not None
    await made.close()


async def test_stripe_takes_real_money(tmp_path: Path) -> None:
    made = payments_of(
        Settings(data=tmp_path, payments="stripe", stripe_key="sk_test_1", stripe_webhook_secret="whsec_1"), LINKS
    )
    assert made is not None
    assert (made.name, made.live) == ("stripe", True)
    await made.close()


def test_a_link_opens_its_own_purchase_only() -> None:
    token = LINKS.url(BUNDLE).partition("token=")[2]
    assert LINKS.account(token, "chk_1") == "ann"
    assert LINKS.account(token, "chk_2") is None
    assert LINKS.account(token[:-2], "chk_1") is None
    assert CheckoutLinks("another", "http://gate.example").account(token, "chk_1") is None
