"""Where a provider may call back, as workers ask for it: beside the gateway, or through it."""

from __future__ import annotations

from gateway.outside.callback_links import CallbackLinks


class CallbackAddresses:
    """Makes callback URLs, if this installation has an address that providers reach."""

    def __init__(self, links: CallbackLinks | None) -> None:
        """None: no public URL is set, and one that is guessed would be called in vain."""
        self._links = links

    async def url(self, provider: str, generation: str) -> str | None:
        """The callback URL for `provider` and `generation`; None if there is none."""
        return None if self._links is None else self._links.url(provider, generation)
