"""Every error that Farebox raises on purpose.

```
FareboxError
├── SettingsError            a setting is missing or wrong; names it and the fix
├── RateCardError            pricing.toml does not validate; carries every message
├── BackupFailed             a backup cannot be made, is incomplete, or cannot be restored
├── RebuildRefused           a ledger cannot be rebuilt where something is
├── RateCardOutdated         a newer rate card is in force; says what to do
├── RequestRefused           a request cannot be priced as asked
│   ├── UnknownModel         no such tool or model
│   └── InvalidSettings      a setting, input or number of outputs that the model does not accept
├── LedgerUnavailable        the ledger is not responding: the call may or may not have taken effect (R21)
│   ├── ArchiveUnavailable   the archive's PostgreSQL is not responding: what is only there cannot be read
│   ├── LedgerFull           its memory is full: nothing new is accepted, open generations can still end
│   └── ReplicasMissing      too few replicas have the write on disk, so it is not acknowledged
├── LedgerBroken             the ledger's data contradicts itself; nothing was written
├── QueueUnavailable         the queue's Redis is not responding
├── PaymentsUnavailable      the payment provider is not responding
├── EventRefused             a payment event without a valid signature, or not an event at all
│   └── EventNotUnderstood   it is genuine, but not in the documented form
├── EventNotApplicable       a genuine payment event that cannot be applied now
├── WorkflowUnusable         a ComfyUI workflow file cannot be used as a template
├── OutputMissing            the object store does not have this output (anymore)
├── StoreUnavailable         the object store is unavailable or denies access
├── OutputNotStored          this machine cannot inspect or buffer a file
│   └── ObjectNotStored      the object store did not accept an object: full, unavailable, or denying access
├── MediaUnreadable          a file is not a usable image or video; the message says why
└── ProviderError            an attempt failed; `code` is the customer's, `detail` the operator's only
    ├── ProviderRejected     the provider rejects this request
    ├── Moderated            the provider's moderation refused it
    ├── ProviderFailed       the provider tried and failed: worth another attempt
    │   └── InputUnavailable an input cannot be fetched now: the same, but not the provider's fault
    └── ProviderUnreachable  unknown is not failed: keep the hold and retry (R17)
        ├── ProviderBusy     it is at capacity or limits our rate: wait, then retry
        └── ProviderNotSetUp this worker's rate card or environment lacks it
```
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.domain import FailureCode

if TYPE_CHECKING:
    from collections.abc import Sequence


class FareboxError(Exception):
    """Base class of all expected errors."""


class SettingsError(FareboxError):
    """A setting is missing or wrong."""


class RateCardError(FareboxError):
    """The rate card does not validate. `messages` has one line per fault: file, table, reason."""

    def __init__(self, messages: Sequence[str]) -> None:
        """Keep every message; `str()` joins them, one per line."""
        super().__init__("\n".join(messages))
        self.messages = tuple(messages)


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One problem with a field: its path in the body (`settings.resolution`) and what is accepted."""

    path: str
    message: str


class RequestRefused(FareboxError):
    """A request cannot be priced as asked. `problems` names the fields."""

    def __init__(self, message: str, problems: Sequence[FieldProblem] = ()) -> None:
        """Keep the message for people and the problems for programs."""
        super().__init__(message)
        self.problems = tuple(problems)


class UnknownModel(RequestRefused):
    """There is no such tool, or the tool has no such model."""


class InvalidSettings(RequestRefused):
    """The model does not accept these settings, inputs or this number of outputs."""


class LedgerUnavailable(FareboxError):
    """The ledger is not responding. The call may have taken effect: retry it with the same ids (R21).

    `problem` is shown to operators in `/readyz`; the message is for the log and may name servers.
    """

    problem = "the ledger is not responding"


class ArchiveUnavailable(LedgerUnavailable):
    """The archive's PostgreSQL is not responding, or refuses what it is asked."""

    problem = "the archive is not responding: what is only there cannot be read"


class LedgerFull(LedgerUnavailable):
    """The ledger's Redis has reached `maxmemory`. Nothing new is accepted; open generations can still end."""

    problem = "the ledger's memory is full (maxmemory): nothing new is accepted"


class ReplicasMissing(LedgerUnavailable):
    """Fewer replicas than FAREBOX_WAIT_REPLICAS have the write on disk, so it cannot be acknowledged."""

    problem = (
        "too few of the ledger's replicas confirm writes (FAREBOX_WAIT_REPLICAS): nothing is accepted until they do"
    )


class LedgerBroken(FareboxError):
    """The ledger's data contradicts itself. Nothing was written."""


class RebuildRefused(FareboxError):
    """A ledger can only be rebuilt on an empty Redis. Nothing was written."""


class ArchiveInUse(FareboxError):
    """An archive can only be switched off while no archivist runs. Nothing was written."""


class BackupFailed(FareboxError):
    """A backup cannot be made, is incomplete, or cannot be restored. No partial result is left."""


class RateCardOutdated(FareboxError):
    """A newer rate card is in force."""


class QueueUnavailable(FareboxError):
    """The queue's Redis is not responding."""


class PaymentsUnavailable(FareboxError):
    """The payment provider is not responding, or responds with an error. The message contains no key."""


class EventNotApplicable(FareboxError):
    """A genuine payment event cannot be applied now; `reason` is a code, `detail` explains it."""

    def __init__(self, reason: str, detail: str, account: str | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.account = account


class EventRefused(FareboxError):
    """A payment event is not signed with this gateway's secret, or is not an event."""


class EventNotUnderstood(EventRefused):
    """A payment event is genuine, but not in the form the provider documents."""


class WorkflowUnusable(FareboxError):
    """A workflow file cannot be used as a template. The message completes "the workflow <file> …"."""


class OutputMissing(FareboxError):
    """The object store does not have this output, or no longer."""


@dataclass(frozen=True, slots=True)
class StoreFault:
    """A problem with the object store: for `/readyz`, which names no servers, and for the log."""

    summary: str
    reason: str
    change: str


UNKNOWN_FAULT = StoreFault("it is not responding, or not as expected", "unknown", "see the log")


class StoreUnavailable(FareboxError):
    """The object store is unavailable or denies access. The message may name servers."""

    def __init__(self, message: str, fault: StoreFault = UNKNOWN_FAULT) -> None:
        super().__init__(message)
        self.fault = fault


class OutputNotStored(FareboxError):
    """This machine cannot inspect a file, or has no space to buffer it."""


class ObjectNotStored(OutputNotStored):
    """The object store did not accept an object: its disk is full, it is unavailable, or it denies access."""

    def __init__(self, message: str, fault: StoreFault = UNKNOWN_FAULT) -> None:
        super().__init__(message)
        self.fault = fault


class MediaUnreadable(FareboxError):
    """A file is not a usable image or video. The message follows its name: "is truncated"."""


class MediaNotTaken(MediaUnreadable):
    """A file has a format that Farebox does not accept, such as SVG: perhaps valid, but never stored or served."""


class ProviderError(FareboxError):
    """An attempt failed. `detail` is for the operator's log and never reaches a client.

    `refused`: the provider certainly did not take the job, so another one may be asked (R30). If in doubt, it is False.
    `cost`: what the provider says that the failed job cost, as it says it; None: nothing is said (R31).
    """

    code: FailureCode = FailureCode.INTERNAL
    refused: bool = False
    cost: object = None

    def __init__(self, detail: str, code: FailureCode | None = None, *, refused: bool | None = None) -> None:
        """Keep the detail; `code` and `refused` override the class's own."""
        super().__init__(detail)
        self.detail = detail
        if code is not None:
            self.code = code
        if refused is not None:
            self.refused = refused


class ProviderRejected(ProviderError):
    """The provider rejects this request, now and later."""

    code = FailureCode.PROVIDER_REJECTED


class Moderated(ProviderError):
    """The provider's moderation refused the prompt, an input or the result."""

    code = FailureCode.MODERATED


class ProviderFailed(ProviderError):
    """The provider tried and failed. Another attempt may succeed."""

    code = FailureCode.PROVIDER_FAILED


class InputUnavailable(ProviderFailed):
    """An input cannot be fetched from the client's server now, or not be converted here: no failure of the provider."""


class OutputUnusable(ProviderError):
    """The provider delivered something other than requested. A retry would cost again with the same result."""

    code = FailureCode.OUTPUT_UNUSABLE


class ProviderUnreachable(ProviderError):
    """The provider is not responding. Unknown is not failed: the hold stays and the worker retries (R17)."""


class ProviderBusy(ProviderUnreachable):
    """The provider is at capacity, or limits our rate. Rate limits are waited out and never fail a generation."""

    refused = True

    def __init__(self, detail: str, retry_after_seconds: float | None = None) -> None:
        """Keep the requested wait; None if there was none."""
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class ProviderNotSetUp(ProviderUnreachable):
    """This worker's rate card has no such provider, or its environment lacks the key.

    A job that the provider already has is kept, because an operator can fix this; a new one is tried elsewhere.
    """

    code = FailureCode.PROVIDER_FAILED
    refused = True


class ProviderNotHere(ProviderNotSetUp):
    """This worker cannot call the provider: its rate card has no table, or it lacks the key. Another may be able to."""
