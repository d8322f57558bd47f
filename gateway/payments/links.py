"""Links to a purchase's page: whoever has one may look at that purchase, and at nothing else."""

from __future__ import annotations

from urllib.parse import urlencode

from itsdangerous import BadSignature, URLSafeTimedSerializer

from gateway.clock import LedgerTimeSigner
from gateway.ledger.payments import Checkout

LINK_SECONDS = 48 * 3600  # a payment page of Stripe's lives for a day, and its customer comes back afterwards


def is_over(checkout: Checkout, now: int) -> bool:
    """Whether the link that a purchase was begun with is too old to open its page."""
    return now > checkout.created_at + LINK_SECONDS * 1000


class CheckoutLinks:
    """Makes and reads links; `secret` is the gateways' common signing key."""

    def __init__(self, secret: str, public_address: str) -> None:
        self._serializer = URLSafeTimedSerializer(secret, salt="farebox.checkout", signer=LedgerTimeSigner)
        self._public_address = public_address

    def url(self, checkout: Checkout) -> str:
        """The page of a purchase, as its customer reaches it."""
        token = str(self._serializer.dumps([checkout.account, checkout.id]))
        return f"{self._public_address}/checkout/{checkout.id}?{urlencode({'token': token})}"

    def account(self, token: str, checkout: str) -> str | None:
        """Whose purchase this is; None if the token is not ours, is too old or is another purchase's."""
        try:
            account, named = self._serializer.loads(token, max_age=LINK_SECONDS)
        except (BadSignature, ValueError, TypeError):
            return None
        return str(account) if named == checkout else None
