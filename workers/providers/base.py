"""What a provider is: submit a request, hand out its results, stop. It knows nothing of credits.

A worker calls `submit` once and notes the ref in the ledger before it waits (R17); or, if an earlier attempt left a
ref, it goes straight to `results`. There it gets progress and finished outputs as they come, until the iterator ends
(everything that will come has come) or raises one of the ProviderErrors of `gateway.errors`, whose class says whether
another attempt is worth it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from gateway.domain import Input, SettingValue


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRequest:
    """What a provider is asked to make.

    `indices` are the outputs still missing, in order: a later attempt makes only those (R9). `provider_model` is the
    provider's own name for `model`. `sandbox` is the test-mode controls, None for every real request.
    """

    generation: str
    tool: str
    model: str
    provider_model: str
    prompt: str
    indices: tuple[int, ...]
    attempt: int
    settings: Mapping[str, SettingValue] = field(default_factory=dict)
    inputs: tuple[Input, ...] = ()
    sandbox: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How much of the request is done, 0 to 1, over all outputs that were asked of this attempt."""

    fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """One finished output; `duration_seconds` is None for an image."""

    index: int
    content_type: str
    data: bytes
    width: int
    height: int
    duration_seconds: Decimal | None = None


class Provider(Protocol):
    """One vendor of outputs. One object serves all generations of a worker at the same time."""

    async def submit(self, request: ProviderRequest) -> str:
        """Start the work and return the provider's own job id, its ref. Quick: the waiting is `results`' part.

        If the answer is lost, so is the ref, and the next attempt submits again; where a vendor takes an idempotency
        key, it is the generation and attempt.
        """
        ...

    def results(self, ref: str, request: ProviderRequest) -> AsyncGenerator[Progress | Rendered]:
        """Yield progress and each output as soon as it is ready, also for a ref of an earlier attempt.

        Raises ProviderRejected, Moderated, ProviderFailed or ProviderUnreachable. Whoever stops early closes the
        generator (`contextlib.aclosing`); a cancelled task does so by itself. Closing leaves the job with the
        provider, to be resumed by ref.
        """
        ...

    async def cancel(self, ref: str) -> None:
        """Ask the provider to stop the job. No error if it has ended or is not known."""
        ...

    async def close(self) -> None:
        """Free what the provider holds in this process."""
        ...
