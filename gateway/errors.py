"""Every error that Farebox raises on purpose.

```
FareboxError
├── SettingsError            a setting is missing or wrong; says which and how to mend it
├── RateCardError            pricing.toml does not validate; carries every message
├── BackupFailed            a backup that cannot be made, is not whole, or cannot be put back
├── RateCardOutdated         a rate card that is not to be put in force: a newer one is; says what to do
├── RequestRefused           a request cannot be priced as asked
│   ├── UnknownModel         no such tool or model
│   └── InvalidSettings      a setting, input or number of outputs that the model does not take
├── LedgerUnavailable        no answer from the ledger: it may or may not have happened (R21)
│   ├── LedgerFull           its memory is full: nothing new is accepted, what is held can still end
│   └── ReplicasMissing      too few replicas have it on disk: not a promise that can be given
├── LedgerBroken             the ledger's data contradicts itself; nothing was written
├── QueueUnavailable         no answer from the queue's Redis
├── PaymentsUnavailable      no answer from the payment provider
├── EventRefused             a payment event that is not signed as it must be, or is none at all
│   └── EventNotUnderstood   it is genuine, and has another shape than it should
├── EventNotApplicable       a genuine payment event that cannot be applied now
├── WorkflowUnusable         a workflow file of ComfyUI's cannot be used as a template
├── OutputMissing            the object store has no such output (any more)
├── StoreUnavailable         the object store does not give what it has: away, or refusing us
├── OutputNotStored          this machine cannot look into a file or take it in
│   └── ObjectNotStored      the object store did not take an object: full, away, or refusing us
├── MediaUnreadable          a file is no image or video that can be used; the message says why
└── ProviderError            an attempt failed; `code` is the customer's, `detail` the operator's only
    ├── ProviderRejected     the provider will not do this request
    ├── Moderated            the provider's moderation refused it
    ├── ProviderFailed       the provider tried and failed: worth another attempt
    └── ProviderUnreachable  nobody knows: keep the hold and ask again (R17)
        ├── ProviderBusy     it asks for patience: wait as long as it says, then ask again
        └── ProviderNotSetUp the rate card or the environment of this worker lacks it
```
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.domain import FailureCode

if TYPE_CHECKING:
    from collections.abc import Sequence


class FareboxError(Exception):
    """Something that Farebox expected could go wrong."""


class SettingsError(FareboxError):
    """A setting is missing or wrong."""


class RateCardError(FareboxError):
    """The rate card does not validate. `messages` has one line per fault: file, table, reason."""

    def __init__(self, messages: Sequence[str]) -> None:
        """Keep every message; `str()` joins them, one a line."""
        super().__init__("\n".join(messages))
        self.messages = tuple(messages)


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing wrong with one field: its path in the body (`settings.resolution`) and what would be right."""

    path: str
    message: str


class RequestRefused(FareboxError):
    """A request cannot be priced as asked. `problems` names the fields."""

    def __init__(self, message: str, problems: Sequence[FieldProblem] = ()) -> None:
        """Keep the message for the person and the problems for their program."""
        super().__init__(message)
        self.problems = tuple(problems)


class UnknownModel(RequestRefused):
    """There is no such tool, or the tool has no such model."""


class InvalidSettings(RequestRefused):
    """The model does not take these settings, inputs or this number of outputs."""


class LedgerUnavailable(FareboxError):
    """The ledger did not answer. What was asked may have happened: ask again with the same ids (R21).

    `problem` is what operators are shown in `/readyz`; the message is for the log and may name servers.
    """

    problem = "the ledger is not responding"


class LedgerFull(LedgerUnavailable):
    """The ledger's Redis has reached `maxmemory`. Nothing new is accepted; what is held can still end."""

    problem = "the ledger's memory is full (maxmemory): nothing new is accepted"


class ReplicasMissing(LedgerUnavailable):
    """Fewer replicas than FAREBOX_WAIT_REPLICAS have it on disk, so it cannot be acknowledged."""

    problem = (
        "too few of the ledger's replicas confirm writes (FAREBOX_WAIT_REPLICAS): nothing is accepted until they do"
    )


class LedgerBroken(FareboxError):
    """The ledger's data contradicts itself. Nothing was written."""


class BackupFailed(FareboxError):
    """A backup cannot be made, is not whole, or cannot be put back. Nothing half-made is left."""


class RateCardOutdated(FareboxError):
    """A newer rate card is in force."""


class QueueUnavailable(FareboxError):
    """The queue's Redis did not answer."""


class PaymentsUnavailable(FareboxError):
    """The payment provider did not answer, or not as it should. The message names no key."""


class EventNotApplicable(FareboxError):
    """A payment provider's event is genuine but cannot be applied now; `reason` is a word, `detail` says more."""

    def __init__(self, reason: str, detail: str, account: str | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.account = account


class EventRefused(FareboxError):
    """A payment event is not signed by the provider with this gateway's secret, or is no event at all."""


class EventNotUnderstood(EventRefused):
    """A payment event is genuine and has another shape than the provider documents."""


class WorkflowUnusable(FareboxError):
    """A workflow file cannot be used as a template. The message completes "the workflow <file> …"."""


class OutputMissing(FareboxError):
    """The object store has no such output, or has it no longer."""


@dataclass(frozen=True, slots=True)
class StoreFault:
    """What is wrong with the object store: for `/readyz`, which names no servers, and for the log."""

    summary: str
    reason: str
    change: str


UNKNOWN_FAULT = StoreFault("it is not responding, or not as expected", "unknown", "see the log")


class StoreUnavailable(FareboxError):
    """The object store does not say or give what it has: it is away, or refuses us. The message may name servers."""

    def __init__(self, message: str, fault: StoreFault = UNKNOWN_FAULT) -> None:
        super().__init__(message)
        self.fault = fault


class OutputNotStored(FareboxError):
    """This machine cannot look into a file, or has no room for it while it is looked into."""


class ObjectNotStored(OutputNotStored):
    """The object store did not take an object: its disk is full, it is away, or it refuses us."""

    def __init__(self, message: str, fault: StoreFault = UNKNOWN_FAULT) -> None:
        super().__init__(message)
        self.fault = fault


class MediaUnreadable(FareboxError):
    """A file is no image or video that can be used. The message goes on after its name: "is truncated"."""


class MediaNotTaken(MediaUnreadable):
    """A file is of a format that Farebox does not take, such as SVG: sound perhaps, but not to be stored or served."""


class ProviderError(FareboxError):
    """An attempt failed. `detail` is for the operator's log and never reaches a client."""

    code: FailureCode = FailureCode.INTERNAL

    def __init__(self, detail: str, code: FailureCode | None = None) -> None:
        """Keep the detail; `code` overrides the class's own."""
        super().__init__(detail)
        self.detail = detail
        if code is not None:
            self.code = code


class ProviderRejected(ProviderError):
    """The provider will not do this request, now or later."""

    code = FailureCode.PROVIDER_REJECTED


class Moderated(ProviderError):
    """The provider's moderation refused the prompt, an input or the result."""

    code = FailureCode.MODERATED


class ProviderFailed(ProviderError):
    """The provider tried and failed. Another attempt may succeed."""

    code = FailureCode.PROVIDER_FAILED


class OutputUnusable(ProviderError):
    """The provider delivered something other than what was ordered. It would do so again, and be paid again."""

    code = FailureCode.OUTPUT_UNUSABLE


class ProviderUnreachable(ProviderError):
    """The provider gave no answer. Unknown is not failed: the hold stays and the worker asks again (R17)."""


class ProviderBusy(ProviderUnreachable):
    """The provider has no room now, or we ask too often. A rate limit is waited out and never fails anything."""

    def __init__(self, detail: str, retry_after_seconds: float | None = None) -> None:
        """Keep how long the provider asked us to wait; None if it did not say."""
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class ProviderNotSetUp(ProviderUnreachable):
    """This worker's rate card has no such provider, or its environment lacks the key.

    A job that the provider has is kept, for an operator can mend it; one that it never had is tried elsewhere.
    """

    code = FailureCode.PROVIDER_FAILED


class ProviderNotHere(ProviderNotSetUp):
    """This worker cannot call the provider: its rate card has no table, or it lacks the key. Another may be able to."""
