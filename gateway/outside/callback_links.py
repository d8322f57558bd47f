"""The callback URL that a provider may call when a generation's job has ended.

It contains a signed token that names the provider and the generation, but not the attempt: whichever worker has the
generation by then, a callback only triggers a poll, and the result is fetched from the provider.
"""

from __future__ import annotations

from itsdangerous import BadSignature, URLSafeSerializer

from gateway.domain import is_generation_id

_SALT = "farebox callback"


class CallbackLinks:
    """Creates and verifies these URLs; all gateways and workers must have the same signing key."""

    def __init__(self, signing_key: str, public_address: str) -> None:
        """Sign with `signing_key`; URLs begin with `public_address`."""
        self._serializer = URLSafeSerializer(signing_key, salt=_SALT)
        self._public_address = public_address

    def url(self, provider: str, generation: str) -> str:
        """The callback URL for `provider` and `generation`."""
        return f"{self._public_address}/v1/callbacks/{provider}/{self._serializer.dumps([provider, generation])}"

    def open(self, provider: str, token: str) -> str | None:
        """The generation that a token was made for; None if it was not made by us for this provider."""
        try:
            named, generation = self._serializer.loads(token)
        except (BadSignature, ValueError, TypeError):
            return None
        if named != provider or not isinstance(generation, str) or not is_generation_id(generation):
            return None
        return generation
