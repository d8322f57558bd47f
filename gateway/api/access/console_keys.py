"""The key behind a member's console sessions: nobody has ever seen it, and revoking it ends them.

A session stands for a key (`sessions.py`), and so a member who has none gets one, to sign in by an invitation.
"""

from __future__ import annotations

import secrets

from gateway.api.access.auth import KEY_PREFIX
from gateway.api.access.sessions import KeyId
from gateway.domain import Scope
from gateway.ledger import outcomes
from gateway.ledger.key_records import UNBOUND
from gateway.ledger.ledger import Ledger

LABEL = "Console"
_KEY_BYTES = 32


async def console_key(ledger: Ledger, account: outcomes.Account, member: str | None) -> KeyId | None:
    """The id of the key that a member's console sessions are of (None: the account's own), made if there is none.

    None if the member was removed.
    """
    for key in account.keys:
        if key.member == member and key.label == LABEL and key.bounds == UNBOUND:
            return KeyId(key.id)
    made = await ledger.add_key(
        key=KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES),
        scope=Scope.ACCOUNT,
        account=account.id,
        label=LABEL,
        member=member,
    )
    return None if isinstance(made, outcomes.NotFound | outcomes.Refused | outcomes.KeysChanged) else KeyId(made.id)
