"""Payment providers, which collect the money for bundles and plans. `base.py` is the interface."""

from __future__ import annotations

from gateway.errors import SettingsError
from gateway.outside.secret_strength import weakness
from gateway.payments.base import PaymentProvider
from gateway.payments.links import CheckoutLinks
from gateway.payments.local import LocalPayments
from gateway.settings import Settings

_LIVE_KEYS = ("sk_live_", "rk_live_")


def payments_of(settings: Settings, links: CheckoutLinks) -> PaymentProvider | None:
    """The configured provider; None: payments are off. SettingsError names missing settings."""
    chosen = settings.payments or ("local" if settings.in_test_mode else "none")
    if chosen == "none":
        return None
    if chosen == "local":
        return LocalPayments(links)
    key, secret = settings.stripe_key, settings.stripe_webhook_secret
    if key is None or secret is None:
        names = [name for name, value in (("KEY", key), ("WEBHOOK_SECRET", secret)) if value is None]
        raise SettingsError(
            "\n".join(f"FAREBOX_STRIPE_{name}: must be set when FAREBOX_PAYMENTS is stripe" for name in names)
        )
    weak = weakness(secret.get_secret_value())
    if weak is not None and key.get_secret_value().startswith(_LIVE_KEYS):
        raise SettingsError(
            f"FAREBOX_STRIPE_WEBHOOK_SECRET: {weak}. Anyone who guesses it gets free credits: copy the endpoint's "
            "signing secret from Stripe's dashboard."
        )
    from gateway.payments.stripe import StripePayments  # noqa: PLC0415 - a tenth of the start, only if it is used

    return StripePayments(key=key.get_secret_value(), webhook_secret=secret.get_secret_value(), links=links)


__all__ = ["CheckoutLinks", "LocalPayments", "PaymentProvider", "payments_of"]
