"""Requests as the worker makes them, and a provider's results in a list."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

from tests.providers.vendor import PROMPT
from workers.providers import Provider, ProviderRequest, Rendered, Result


def asked(*indices: int, **more: Any) -> ProviderRequest:
    """A request for these outputs, by default the first."""
    terms: dict[str, Any] = {
        "generation": "gen_00aaaaaaaaaaaaaaaaaaaaaaaa",
        "tool": "image",
        "model": "flux-dev",
        "provider_model": "flux.1-dev",
        "prompt": PROMPT,
        "indices": indices or (0,),
        "attempt": 1,
        "idempotency_key": "gen_00aaaaaaaaaaaaaaaaaaaaaaaa:0",
    }
    return ProviderRequest(**(terms | more))


async def made(provider: Provider, ref: str | None, request: ProviderRequest) -> list[Rendered]:
    """Everything that comes, until it ends."""
    return [result for result in await seen(provider, ref, request) if isinstance(result, Rendered)]


async def seen(provider: Provider, ref: str | None, request: ProviderRequest) -> list[Result]:
    """Everything that is said, until it ends."""
    async with aclosing(provider.results(ref, request)) as results:
        return [result async for result in results]
