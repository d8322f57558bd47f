"""The kinds of provider for `[providers.<name>]` in the rate card. Each is imported at first use."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from workers.providers.base import (
    ArgumentNames,
    Connection,
    ListeningProvider,
    Pending,
    ProgressReport,
    Provider,
    ProviderInput,
    ProviderRequest,
    Rendered,
    Result,
)

__all__ = [
    "KINDS",
    "ArgumentNames",
    "Connection",
    "ListeningProvider",
    "Pending",
    "ProgressReport",
    "Provider",
    "ProviderInput",
    "ProviderRequest",
    "Rendered",
    "Result",
    "make_provider",
    "vendor_address",
]

KINDS = {
    "comfyui": "workers.providers.comfyui:ComfyUi",
    "fal": "workers.providers.fal:Fal",
    "http": "workers.providers.http_jobs:HttpJobs",
    "replicate": "workers.providers.replicate:Replicate",
    "openai": "workers.providers.openai_words:OpenAi",
    "sandbox": "workers.providers.sandbox:Sandbox",
}
"""Kind → the path of its class, which is created with a Connection."""

_ADDRESSES = {
    "fal": "workers.providers.fal:BASE_URL",
    "replicate": "workers.providers.replicate:BASE_URL",
    "openai": "workers.providers.openai_images:OPENAI_URL",
}


def vendor_address(kind: str) -> str | None:
    """Where a kind of provider is called if its table has no `base_url`; None: nowhere, or in this process."""
    module, _, name = _ADDRESSES.get(kind, "").partition(":")
    return str(getattr(import_module(module), name)) if module else None


def make_provider(kind: str, connection: Connection) -> Provider:
    """Create a provider, to be kept for the worker's life; KeyError, with the known kinds, for an unknown one."""
    if kind not in KINDS:
        raise KeyError(f"no provider of kind {kind!r}; there is {', '.join(sorted(KINDS))}")
    module, _, name = KINDS[kind].partition(":")
    make: Callable[[Connection], Provider] = getattr(import_module(module), name)
    return make(connection)
