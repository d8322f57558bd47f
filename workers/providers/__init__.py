"""The providers by name, as a rate card's `provider` says them."""

from __future__ import annotations

from collections.abc import Callable

from workers.providers.base import Progress, Provider, ProviderRequest, Rendered
from workers.providers.sandbox import Sandbox

__all__ = ["PROVIDERS", "Progress", "Provider", "ProviderRequest", "Rendered", "provider"]

PROVIDERS: dict[str, Callable[[], Provider]] = {"sandbox": Sandbox}


def provider(name: str) -> Provider:
    """A new provider object, to be kept for the worker's life; KeyError with the known names if there is none."""
    try:
        return PROVIDERS[name]()
    except KeyError:
        raise KeyError(f"no provider {name!r}; there is {', '.join(sorted(PROVIDERS))}") from None
