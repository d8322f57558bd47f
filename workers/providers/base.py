"""What a provider is: submit a request, hand out its results, stop. It knows nothing of credits.

A worker calls `submit` once and notes the ref in the ledger before it waits (R17); or, if an earlier attempt left a
ref, it goes straight to `results`. There it gets progress and finished outputs as they come, until the iterator ends
(everything that will come has come) or raises one of the ProviderErrors of `gateway.errors`, whose class says whether
another attempt is worth it. A vendor that answers a request with its result has no ref: its `submit` returns None and
does nothing, and `results` makes the call.

A job that is not done is `Pending`. A worker that hears so may leave the generation with its provider (it parks) and
come back with the same ref when the provider calls back, or after a while.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from gateway.domain import SettingValue
from gateway.outside.addresses import AddressGuard
from workers.providers.values import fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where a provider is and how to speak to it: a table `[providers.<name>]` of the rate card, with its secret.

    `base_url` has no slash at its end; None: the vendor's own. `key` is never to be logged, so it is not shown either.
    `timeout_seconds` bounds one request and its answer; `folder` is where the rate card's own files are;
    `input_guard` says from where inputs may be fetched.
    """

    name: str
    base_url: str | None = None
    key: str | None = field(default=None, repr=False)
    timeout_seconds: float = 60.0
    folder: Path = Path()
    input_guard: AddressGuard = field(default_factory=AddressGuard)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderInput:
    """An input image or video (`kind`): an `https:` URL of the client's, or bytes that are in our store."""

    kind: str
    url: str | None = None
    content_type: str | None = None
    data: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgumentNames:
    """What the provider's model calls what is no setting; None: it takes no such thing.

    `one_image`, `one_video`: it takes a single one under that name, not a list.
    """

    prompt: str = "prompt"
    outputs: str | None = None
    input_images: str | None = None
    input_videos: str | None = None
    one_image: bool = False
    one_video: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRequest:
    """What a provider is asked to make.

    `indices` are the outputs still missing, in order: a later attempt makes only those (R9). `job_indices` are those
    that the job was asked for: more, if it delivered some of them to an earlier attempt. `provider_model` is the
    provider's own name for `model`. `arguments` are the settings in the provider's words, `settings` in ours.
    `idempotency_key` is the same each time one job is asked for, by whatever attempt, and a new one after the provider
    failed. `callback_url` is what a provider that can may call when the job has ended; then `called_back` is set, which
    `pause` heeds. `announced` are refs of jobs whose answer may never come: should the generation end without one, they
    are asked to stop. `last_poll`: the generation is cancelled, and only what is finished now is still wanted.
    `sandbox` is the test-mode controls, None for every real request.
    """

    generation: str
    tool: str
    model: str
    provider_model: str
    prompt: str
    indices: tuple[int, ...]
    attempt: int
    job_indices: tuple[int, ...] = ()
    settings: Mapping[str, SettingValue] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    names: ArgumentNames = ArgumentNames()
    inputs: tuple[ProviderInput, ...] = ()
    idempotency_key: str = ""
    callback_url: str | None = None
    called_back: asyncio.Event = field(default_factory=asyncio.Event, repr=False, compare=False)
    announced: set[str] = field(default_factory=set, repr=False, compare=False)
    last_poll: bool = False
    sandbox: Mapping[str, Any] | None = None

    async def pause(self, seconds: float) -> None:
        """Wait between two looks at a job: so long, or until its provider calls back."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.called_back.wait(), seconds)
        self.called_back.clear()


@dataclass(frozen=True, slots=True)
class ProgressReport:
    """How much of the request is done, 0 to 1, over all outputs that were asked of this attempt.

    A provider may put here what a vendor said: what is no such number becomes 0, which moves nothing.
    """

    fraction: float

    def __post_init__(self) -> None:
        """Keep only what can be counted with."""
        object.__setattr__(self, "fraction", fraction(self.fraction) or 0.0)


@dataclass(frozen=True, slots=True)
class Pending:
    """The provider has the job and it is not done: the worker may park. `results` waits, then looks again if read on.

    `fraction` is how much is done, if the provider says so.
    """

    fraction: float | None = None

    def __post_init__(self) -> None:
        """Keep only what can be counted with, as Progress does."""
        object.__setattr__(self, "fraction", fraction(self.fraction))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """One finished output. What its bytes are, the worker finds out by itself: no vendor is trusted with that.

    `made_here`: this process made them. Whatever comes from outside, by whatever way, may be a hostile file.
    """

    index: int
    data: bytes
    made_here: bool = False


Result = ProgressReport | Pending | Rendered


class Provider(Protocol):
    """One vendor of outputs. One object serves all generations of a worker at the same time."""

    async def submit(self, request: ProviderRequest) -> str | None:
        """Start the work and return the provider's own job id, its ref. Quick: the waiting is `results`' part.

        None: there is no job to come back to, and `results` does it all. If the answer is lost, so is the ref. Raise
        ProviderUnreachable only if the provider cannot have taken the job, or knows `idempotency_key`: it is asked
        again and again. Otherwise ProviderFailed, of which there are at most `attempts_max`: nobody pays for an endless
        row of jobs. Who chooses the ref itself says in `announced` what it will be, before it is sent.
        """
        ...

    def results(self, ref: str | None, request: ProviderRequest) -> AsyncGenerator[Result]:
        """Yield progress and each output as soon as it is ready, also for a ref of an earlier attempt.

        Raises ProviderRejected, Moderated, ProviderFailed, ProviderUnreachable or its kind ProviderBusy. Whoever stops
        early closes the generator (`contextlib.aclosing`); a cancelled task does so by itself. Closing leaves the job
        with the provider, to be resumed by ref. It begins with a look, so what it says first is so now.
        """
        ...

    async def cancel(self, ref: str, provider_model: str) -> None:
        """Ask the provider to stop the job, which was submitted for `provider_model`.

        No error if it has ended or is not known.
        """
        ...

    async def close(self) -> None:
        """Free what the provider holds in this process."""
        ...


@runtime_checkable
class ListeningProvider(Provider, Protocol):
    """A provider that hears by itself how its jobs do: who leaves one with it listens, and looks when that ends."""

    def listen(self, ref: str) -> AsyncGenerator[float | None]:
        """How much of the job is done, each time it is said; it ends when the job has, or is not known (any more).

        It outlasts a provider that is away. Nothing is raised.
        """
        ...
