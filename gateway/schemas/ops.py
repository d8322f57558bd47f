"""Operations and health."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from gateway.schemas.base import Answer, Counts, Credits, Query, Time, TimeIn


class WorkerOut(Answer):
    """A worker and its last heartbeat; heartbeats are sent every few seconds."""

    name: str
    silent_seconds: Credits = Field(description="Time since its last heartbeat; above 15 it no longer counts as alive.")


class QueueOut(Answer):
    """One tool's queue."""

    tool: str
    depth: int = Field(description="Queued generations.")
    waiting: int = Field(description="Generations above their account's concurrency limit.")
    oldest_age_seconds: Credits | None = Field(
        description="Age of the oldest queued generation; null if none is queued."
    )
    running: int
    workers: int | None = Field(description="Live workers; null if the queue is unreachable.")
    heartbeats: list[WorkerOut] = Field(
        description="Workers seen in the last five minutes, longest silent first; at most 100."
    )


class ProviderFailureOut(Answer):
    """A provider's failure."""

    code: str = Field(description="Its kind, as in `last_hour`.")
    message: str = Field(
        description="What the provider answered, or why it did not, without what the request contained; may be empty."
    )


class Skipped(StrEnum):
    """Why a provider is given nothing new."""

    PAUSED = "paused"
    OPEN = "open"
    FULL = "full"
    RATE = "rate"


class BreakerOut(Answer):
    """A provider's breaker. While it is open the provider is given nothing new; half open, one job at a time."""

    state: Literal["closed", "open", "half_open"]
    since: Time | None = Field(description="When it opened; null while it is closed.")
    tries_at: Time | None = Field(description="When it is half open; null while it is closed.")


class ProviderOut(Answer):
    """A provider of the rate card and its state."""

    name: str
    kind: str
    state: Literal["working", "failing", "unknown"] = Field(
        description="Based on its most recent call within a week: it delivered, or it failed or could not be reached."
    )
    in_work: int = Field(description="The provider's open jobs across all workers, including parked ones.")
    max_in_work: int | None = Field(description="Maximum concurrent jobs; null if unlimited.")
    requests_last_minute: int = Field(description="New jobs it was given in the last minute.")
    requests_per_minute: int | None = Field(description="Maximum new jobs per minute; null if unlimited.")
    breaker: BreakerOut | None = Field(description="Its breaker; null if it has none.")
    skipped: Skipped | None = Field(
        description=(
            "Why it is given nothing new now: operators have paused it, its breaker is open, all its slots are taken, "
            "or it was given its jobs of this minute. Null if it is given what comes."
        )
    )
    in_line: int = Field(description="Generations waiting for a free slot at the provider.")
    succeeded_at: Time | None = Field(description="When it last delivered a complete generation.")
    failed_at: Time | None = Field(description="When it last failed, rejected a job, was busy or could not be reached.")
    last_failure: ProviderFailureOut | None = Field(description="The failure at `failed_at`; null if it is not known.")
    models: list[str] = Field(description="The rate card's models that it makes.")
    last_hour: Counts = Field(
        description=(
            "Results of the last hour by kind: `succeeded`, a failure code, `unreachable`, `busy`, or `late_success`: "
            "a job it finished after another provider was asked."
        )
    )


class RateCardState(Answer):
    """The rate card in force, and why the file on disk is not, if it is not."""

    version: str
    problem: str | None


class AuditOut(Answer):
    """The last audit of the whole ledger, run daily by the caretaker or by `farebox audit`."""

    at: Time = Field(description="When it started.")
    seconds: Credits = Field(description="Its duration.")
    accounts: int
    generations: int
    differences: int = Field(description="Number of inconsistencies; 0 in a healthy ledger.")
    unproved: int = Field(
        description="Items the audit could not verify because they kept changing; 0 in a healthy ledger."
    )
    next_at: Time | None = Field(
        description="When the next one is due; null while one is due or running. Earlier if most accounts are new."
    )


class AuditAsked(Answer):
    """A caretaker begins an audit within a minute, unless one is running."""

    object: Literal["audit_request"]


class AuditState(Answer):
    """When the last audit started and what it found."""

    at: Time
    differences: int = Field(description="0 in a healthy ledger.")
    unproved: int = Field(
        description="Items the audit could not verify because they kept changing; 0 in a healthy ledger."
    )


class QueuesOut(Answer):
    """The current state of queues and holds."""

    queues: list[QueueOut]
    providers: list[ProviderOut] | None = Field(
        description="The rate card's providers, by name; null if the queue is unreachable."
    )
    held_credits: Credits
    overdue: int = Field(description="Deadlines that have passed without being handled; 0 when healthy.")
    open: int
    accounts: int
    rescues: Counts
    rate_card: RateCardState
    audit: AuditOut | None = Field(description="The last audit; null before the first one.")


class ScaleOut(Answer):
    """How many workers a tool needs, for an autoscaler."""

    tool: str
    value: float = Field(
        description="Queued and running generations in units of one worker's capacity: 2.5 keeps three workers busy."
    )
    queued: int
    running: int = Field(description="Generations in work, including those whose provider is still working on them.")
    worker_jobs: int = Field(description="What one worker can do at once (`FAREBOX_WORKER_JOBS` of this gateway).")


class SeriesQuery(Query):
    """The time range. Default: the last hour."""

    first: Annotated[TimeIn | None, Field(alias="from", description="Default: one hour before `to`.")] = None
    last: Annotated[TimeIn | None, Field(alias="to", description="Default: now.")] = None


class WaitsOut(Answer):
    """How long generations were queued before they first started; null if none did. Values may be 19 % too high."""

    begun: int
    median_seconds: Credits | None
    p95_seconds: Credits | None


class ToolSeries(Answer):
    """One tool over time: lists with one value per step; null where no sample was taken."""

    tool: str
    depth: list[int | None]
    waiting: list[int | None]
    oldest_age_seconds: list[Credits | None]
    running: list[int | None]
    workers: list[int | None]
    succeeded: list[int | None] = Field(description="Generations that ended this way since the previous value.")
    failed: list[int | None]
    cancelled: list[int | None]
    wait_median_seconds: list[Credits | None] = Field(
        description="Of generations first started since the previous value."
    )
    wait_p95_seconds: list[Credits | None]
    waits: WaitsOut = Field(description="Over the whole time range.")


class OutcomeOut(Answer):
    """The number of a model's generations that ended this way over the whole time range."""

    tool: str
    model: str
    status: str
    code: str | None
    generations: int


class SeriesOut(Answer):
    """Queues and holds over time. The value at `index` is for `first_at` + `index` × `step_seconds`.

    Steps longer than ten seconds show the worst sample: the highest values, but the lowest number of workers.
    """

    first_at: Time
    step_seconds: int = Field(description="10 for the last hour, 60 for the last day, otherwise 600.")
    tools: list[ToolSeries]
    open: list[int | None]
    overdue: list[int | None]
    held_credits: list[Credits | None]
    outcomes: list[OutcomeOut]


class Health(Answer):
    """The process is up."""

    status: Literal["ok"]


class Readiness(Answer):
    """`ok`, `degraded` (working, but an operator should look) or `unavailable` (sent with status 503)."""

    status: Literal["ok", "degraded", "unavailable"]
    problems: list[str]
    rate_card: str | None
    audit: AuditState | None = Field(description="The last audit; null before the first one and while unavailable.")
    durable_by: Literal["settings", "service"] = Field(
        description="Whether the settings of the ledger's Redis are verified, or an operator vouches for the service "
        "that runs it (`FAREBOX_DURABLE_BY`)."
    )
