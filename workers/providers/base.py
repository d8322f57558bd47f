"""The provider interface: submit a request, stream its results, cancel. Providers know nothing about credits.

A worker calls `submit` once and stores the ref in the ledger before it waits (R17); or, if an earlier attempt left a
ref, it goes straight to `results`. This yields progress and finished outputs as they arrive, until the iterator ends
(everything has arrived) or raises one of the ProviderErrors of `gateway.errors`, whose class says whether another
attempt is worthwhile. For a vendor with a synchronous API there is no ref: `submit` does nothing and returns None, and
`results` makes the call.

A job that is not done yields `Pending`. The worker may then park the generation: leave it with its provider, and return
with the same ref when the provider calls back, or for the next poll.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from gateway.domain import SettingValue
from gateway.kinds import MediaKind, kind_asked
from gateway.metering import Unit
from gateway.outside.addresses import AddressGuard
from workers.providers.values import fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How to reach a provider: a table `[providers.<name>]` of the rate card, with its secret.

    `base_url` has no trailing slash; None: the vendor's own. `key` must never be logged, so it is left out of the repr.
    `timeout_seconds` limits one request and its response; `folder` contains the rate card; `input_guard` restricts the
    addresses that inputs are fetched from.
    """

    name: str
    base_url: str | None = None
    key: str | None = field(default=None, repr=False)
    timeout_seconds: float = 60.0
    folder: Path = Path()
    input_guard: AddressGuard = field(default_factory=AddressGuard)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderInput:
    """An input image, video or audio (`kind`): an `https:` URL from the client, or bytes from our object store."""

    kind: str
    url: str | None = None
    content_type: str | None = None
    data: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgumentNames:
    """The names of a model's arguments that are not settings; None: the model has no such argument.

    `one_image`, `one_video`, `one_audio`: the argument takes a single one, not a list.
    """

    prompt: str = "prompt"
    outputs: str | None = None
    input_images: str | None = None
    input_videos: str | None = None
    input_audios: str | None = None
    one_image: bool = False
    one_video: bool = False
    one_audio: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRequest:
    """A request to a provider.

    `indices` are the outputs still missing, in order: a later attempt makes only those (R9). `job_indices` are those
    requested of the job: more, if it delivered some of them to an earlier attempt. `provider_model` is the provider's
    name for `model`. `arguments` are the settings translated for the provider, `settings` the original ones.
    `idempotency_key` stays the same for one job, in all attempts; after the provider failed, there is a new one.
    `callback_url` is the URL that a provider may call when the job ends; `called_back` is set then, and ends `pause`.
    `announced` are refs of jobs whose submit response may be lost: if the generation ends without a ref, they are
    stopped. `last_poll`: the generation is cancelled, and only outputs finished by now are still wanted. `sandbox` has
    the test-mode controls; None for every real request. `output` is what the tool says it makes, if it says so.
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
    output: MediaKind | None = None

    @property
    def kind(self) -> MediaKind | None:
        """The kind of output requested; None if nothing tells."""
        return kind_asked(self.tool, self.settings, self.output)

    async def pause(self, seconds: float) -> None:
        """Wait between two polls of a job: this long, or until its provider calls back."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.called_back.wait(), seconds)
        self.called_back.clear()


@dataclass(frozen=True, slots=True)
class ProgressReport:
    """Progress, 0 to 1, over all outputs requested of this attempt.

    A vendor's own value may be passed: an invalid one becomes 0, which has no effect.
    """

    fraction: float

    def __post_init__(self) -> None:
        """Replace an invalid number by 0."""
        object.__setattr__(self, "fraction", fraction(self.fraction) or 0.0)


@dataclass(frozen=True, slots=True)
class Pending:
    """The provider has the job, and it is not done: the worker may park. If read further, `results` waits and polls.

    `fraction` is the progress, if the provider reports it.
    """

    fraction: float | None = None

    def __post_init__(self) -> None:
        """Drop an invalid number."""
        object.__setattr__(self, "fraction", fraction(self.fraction))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """One finished output. The worker detects the media type itself: no vendor is trusted with that.

    `made_here`: this process made it. Anything from outside may be a hostile file. `reported` is what the vendor says
    that it used, and `cost` what it says that this output cost, in the card's currency, as it says them: the worker
    judges the figures.
    """

    index: int
    data: bytes
    made_here: bool = False
    reported: Mapping[Unit, object] = field(default_factory=dict)
    cost: object = None


Result = ProgressReport | Pending | Rendered


class Provider(Protocol):
    """One provider of outputs. A single object serves all generations of a worker concurrently."""

    async def submit(self, request: ProviderRequest) -> str | None:
        """Submit the job and return the provider's own job id, the ref. Returns quickly: waiting is done by `results`.

        None: there is no job to resume, and `results` does everything. If the response is lost, so is the ref. Raise
        ProviderUnreachable only if the provider cannot have accepted the job, or honours `idempotency_key`: it is
        retried without limit. Otherwise raise ProviderFailed, which is retried at most `attempts_max` times, so that
        jobs are not paid for over and over. Either is `refused` only if the provider certainly has no job of this
        request: then another provider is asked. A provider that chooses the ref itself adds it to `announced` before
        sending.
        """
        ...

    def results(self, ref: str | None, request: ProviderRequest) -> AsyncGenerator[Result]:
        """Yield progress and each output as soon as it is ready, also for an earlier attempt's ref.

        Raises ProviderRejected, Moderated, ProviderFailed, ProviderUnreachable or its subclass ProviderBusy. Callers
        that stop early close the generator (`contextlib.aclosing`); a cancelled task does so by itself. Closing leaves
        the job with the provider, to be resumed by ref. It polls first, so the first result is current.
        """
        ...

    async def cancel(self, ref: str, provider_model: str) -> None:
        """Ask the provider to stop the job, which was submitted for `provider_model`.

        No error if the job has ended or is unknown.
        """
        ...

    async def close(self) -> None:
        """Release the provider's resources in this process."""
        ...


@runtime_checkable
class ListeningProvider(Provider, Protocol):
    """A provider with push events about its jobs: after parking one, a worker listens, and polls when the job ends."""

    def listen(self, ref: str) -> AsyncGenerator[float | None]:
        """Yield each progress report; ends when the job has ended or is unknown.

        It keeps listening while the provider is unreachable. Never raises.
        """
        ...
