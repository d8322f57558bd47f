"""All processes sign with one key, and go on with it after a restore: the ledger remembers a mark of it.

Webhook secrets, links, quotes and sessions are made with the signing key. A gateway or caretaker with another one would
start without a word, and every receiver would find its signatures wrong. So it does not start.
"""

from __future__ import annotations

import hashlib
import hmac

from gateway.errors import SettingsError
from gateway.ledger.signing_key import SigningKeyOperations
from gateway.settings import Settings

_LABEL = b"farebox signing key"  # signed for nothing else
_MARK_DIGITS = 16


def mark_of(signing_key: str) -> str:
    """What tells a signing key from others and gives nothing of it away."""
    return hmac.new(signing_key.encode(), _LABEL, hashlib.sha256).hexdigest()[:_MARK_DIGITS]


async def check_signing_key(ledger: SigningKeyOperations, settings: Settings) -> None:
    """Have the ledger remember the signing key, if it knows none; SettingsError if it knows another one."""
    mine = mark_of(settings.secret("signing-key"))
    known = await ledger.claim_signing_key(mine)
    if known != mine:
        raise SettingsError(difference(settings, mine, known))


def difference(settings: Settings, mine: str, known: str) -> str:
    """What to do about a ledger that is used with another signing key."""
    return (
        f"FAREBOX_SIGNING_KEY: this ledger uses another signing key: {known}, by its fingerprint; that of "
        f"{settings.secret_source('signing-key')} is {mine}. With the wrong key, webhooks would be signed "
        "incorrectly, and existing links, quotes and sign-ins rejected. Set the right key: the one of the other "
        "gateways, or `signing-key` from the backup. If it is lost, or was changed on purpose, switch to this key: "
        "`farebox signing-key adopt`"
    )
