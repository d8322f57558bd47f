"""The kinds of provider, as a rate card's `[providers.<name>]` says them. Each is imported when it is first used."""

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
]

KINDS = {
    "comfyui": "workers.providers.comfyui:ComfyUi",
    "fal": "workers.providers.fal:Fal",
    "http": "workers.providers.http_jobs:HttpJobs",
    "replicate": "workers.providers.replicate:Replicate",
    "openai": "workers.providers.openai_images:OpenAiImages",
    "sandbox": "workers.providers.sandbox:Sandbox",
}
"""Kind → where its class is. A class is made with a Connection."""


def make_provider(kind: str, connection: Connection) -> Provider:
    """A new provider object, to be kept for the worker's life; KeyError with the known kinds if there is none."""
    if kind not in KINDS:
        raise KeyError(f"no provider of kind {kind!r}; there is {', '.join(sorted(KINDS))}")
    module, _, name = KINDS[kind].partition(":")
    make: Callable[[Connection], Provider] = getattr(import_module(module), name)
    return make(connection)
