"""Secrets of webhooks: each its own, two during a rotation's day, none with another signing key."""

from __future__ import annotations

import base64
from dataclasses import replace

from gateway.ledger.webhooks import SECRET_OVERLAP_MS, Webhook
from gateway.outside.webhook_secrets import WebhookSecrets

SECRETS = WebhookSecrets("a signing key")
ROTATED = 1_800_000_000_000
WEBHOOK = Webhook(
    id="whk_" + "a" * 24,
    account="ann",
    url="https://example.com/",
    events=(),
    description="",
    version=2,
    mark=SECRETS.mark("ann", "whk_" + "a" * 24, 2),
    created_at=0,
    rotated_at=ROTATED,
)


def test_a_secret_is_32_bytes_and_belongs_to_one_version_of_one_webhook_of_one_owner() -> None:
    seen = {
        SECRETS.secret(account, webhook, version)
        for account in ("ann", "bob", None)
        for webhook in (WEBHOOK.id, "default")
        for version in (1, 2)
    } | {WebhookSecrets("another").secret("ann", WEBHOOK.id, 1)}
    assert len(seen) == 13
    for secret in seen:
        assert secret.startswith("whsec_")
        assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    assert SECRETS.secret("ann", "default", 1) == WebhookSecrets("a signing key").secret("ann", "default", 1)


def test_for_a_day_after_a_rotation_both_sign_and_then_the_new_one_alone() -> None:
    newest, before = (SECRETS.secret("ann", WEBHOOK.id, version) for version in (2, 1))
    assert SECRETS.in_force(WEBHOOK, ROTATED) == [newest, before]
    assert SECRETS.in_force(WEBHOOK, ROTATED + SECRET_OVERLAP_MS - 1) == [newest, before]
    assert SECRETS.in_force(WEBHOOK, ROTATED + SECRET_OVERLAP_MS) == [newest]
    assert SECRETS.in_force(replace(WEBHOOK, rotated_at=None), ROTATED) == [newest]


def test_another_signing_key_has_no_secret() -> None:
    assert WebhookSecrets("another").in_force(WEBHOOK, ROTATED) == []
