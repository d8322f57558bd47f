"""Webhook secrets: derived from the signing key, so none is stored.

Each webhook has its own secret, and a version that counts its rotations. Processes with the same signing key derive the
same secrets; a short fingerprint stored with the webhook (`mark`) tells a process with another key not to sign.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from gateway.domain import WebhookForm
from gateway.ledger.webhooks import SECRET_OVERLAP_MS, Delivery, Webhook
from gateway.outside.fal_signatures import FalSigner

_PREFIX = "whsec_"  # Standard Webhooks' own
_MARK_DIGITS = 12


class WebhookSecrets:
    """Derives the secrets of one signing key."""

    def __init__(self, signing_key: str) -> None:
        """Derive from `signing_key`."""
        self._key = signing_key.encode()
        self.fal = FalSigner(signing_key)

    def secret(self, account: str | None, webhook: str, version: int) -> str:
        """`whsec_` and 32 bytes in Base64: the secret of this version of a webhook (account None: the operators')."""
        seed = f"webhook secret\n{account or ''}\n{webhook}\n{version}"
        return _PREFIX + base64.b64encode(hmac.digest(self._key, seed.encode(), hashlib.sha256)).decode()

    def mark(self, account: str | None, webhook: str, version: int) -> str:
        """The fingerprint of a secret; it reveals nothing about the secret."""
        return hashlib.sha256(self.secret(account, webhook, version).encode()).hexdigest()[:_MARK_DIGITS]

    def in_force(self, webhook: Webhook, now: int) -> list[str]:
        """The secrets that sign now, newest first: for a day after a rotation, also the previous one.

        None at all if the webhook's secrets were derived from another signing key.
        """
        version = webhook.version
        if webhook.mark and webhook.mark != self.mark(webhook.account, webhook.id, version):
            return []
        versions = [version]
        if version > 0 and webhook.rotated_at is not None and now < webhook.rotated_at + SECRET_OVERLAP_MS:
            versions.append(version - 1)
        return [self.secret(webhook.account, webhook.id, one) for one in versions]

    def headers_beside(self, delivery: Delivery, body: str) -> dict[str, str]:
        """The headers that a delivery in another service's form has beside ours."""
        of_fal = delivery.form is WebhookForm.FAL
        return self.fal.headers(delivery.subject, delivery.account, body) if of_fal else {}
