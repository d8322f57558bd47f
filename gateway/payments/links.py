"""Signed links to a purchase's page: a link gives access to that purchase and nothing else."""

from __future__ import annotations

from urllib.parse import urlencode

from itsdangerous import BadSignature, URLSafeTimedSerializer

from gateway.clock import LedgerTimeSigner
from gateway.ledger.payments import Checkout

LINK_SECONDS = 48 * 3600  # a Stripe payment page is valid for a day, and customers return afterwards


def is_over(checkout: Checkout, now: int) -> bool:
    """Whether the link of a purchase has expired."""
    return now > checkout.created_at + LINK_SECONDS * 1000


class CheckoutLinks:
    """Creates and verifies links; `secret` is the gateways' common signing key."""

    def __init__(self, secret: str, public_address: str) -> None:
        self._serializer = URLSafeTimedSerializer(secret, salt="farebox.checkout", signer=LedgerTimeSigner)
        self._public_address = public_address

    def url(self, checkout: Checkout) -> str:
        """The URL of a purchase's page, for its customer."""
        token = str(self._serializer.dumps([checkout.account, checkout.id]))
        return f"{self._public_address}/checkout/{checkout.id}?{urlencode({'token': token})}"

    def account(self, token: str, checkout: str) -> str | None:
        """The purchase's account; None if the token is not ours, has expired or is for another purchase."""
        try:
            account, named = self._serializer.loads(token, max_age=LINK_SECONDS)
        except (BadSignature, ValueError, TypeError):
            return None
        return str(account) if named == checkout else None
