"""All processes must use the same signing key, also after a restore: the ledger stores its fingerprint.

Webhook secrets are derived from the signing key; links, quotes and sessions are signed with it. A gateway or caretaker
with another key would seem to work, while every receiver rejected its signatures. So it does not start.
"""

from __future__ import annotations

import hashlib
import hmac

from gateway.errors import SettingsError
from gateway.ledger.signing_key import SigningKeyOperations
from gateway.settings import Settings

_LABEL = b"farebox signing key"  # used for nothing else
_MARK_DIGITS = 16


def mark_of(signing_key: str) -> str:
    """The fingerprint of a signing key; it reveals nothing about the key."""
    return hmac.new(signing_key.encode(), _LABEL, hashlib.sha256).hexdigest()[:_MARK_DIGITS]


async def check_signing_key(ledger: SigningKeyOperations, settings: Settings) -> None:
    """Store the fingerprint in the ledger, if there is none; SettingsError if there is another one."""
    mine = mark_of(settings.secret("signing-key"))
    known = await ledger.claim_signing_key(mine)
    if known != mine:
        raise SettingsError(difference(settings, mine, known))


def difference(settings: Settings, mine: str, known: str) -> str:
    """The error message for a ledger that uses another signing key."""
    return (
        f"FAREBOX_SIGNING_KEY: this ledger uses another signing key: {known}, by its fingerprint; that of "
        f"{settings.secret_source('signing-key')} is {mine}. With the wrong key, webhooks would be signed "
        "incorrectly, and existing links, quotes and sign-ins rejected. Set the right key: the one of the other "
        "gateways, or `signing-key` from the backup. If it is lost, or was changed on purpose, switch to this key: "
        "`farebox signing-key adopt`"
    )
