"""Operations and health."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.schemas.base import Answer, Credits, Query, Time, TimeIn


class WorkerOut(Answer):
    """A worker, and when it last said that it is alive: it does so every few seconds."""

    name: str
    silent_seconds: Credits = Field(description="Since it was last seen; past 15 it is not counted as alive.")


class QueueOut(Answer):
    """One tool's queue."""

    tool: str
    depth: int = Field(description="Queued generations.")
    waiting: int = Field(description="Beyond their account's concurrency.")
    oldest_age_seconds: Credits | None = Field(description="Age of the oldest queued one; null if none is.")
    running: int
    workers: int | None = Field(description="Workers alive; null if the queue does not answer.")
    heartbeats: list[WorkerOut] = Field(
        description="The workers of the last five minutes, the one that was silent longest first; 100 at most."
    )


class ProviderOut(Answer):
    """A provider of the rate card, and how it is doing."""

    name: str
    kind: str
    state: Literal["working", "failing", "unknown"] = Field(
        description="By what it did last within a week: it made something, or it failed or could not be reached."
    )
    in_work: int = Field(description="Jobs that it has, of all workers; those that it was left with included.")
    max_in_work: int | None = Field(description="How many it takes at a time; null: as many as come.")
    in_line: int = Field(description="Generations that wait until it has room.")
    succeeded_at: Time | None = Field(description="When it last made all that it was asked for.")
    failed_at: Time | None = Field(description="When it last failed, refused, had no room or could not be reached.")
    last_hour: dict[str, int] = Field(
        description="What it did in the last hour: `succeeded`, a failure's code, `unreachable`, `busy`."
    )


class RateCardState(Answer):
    """The rate card in force, and what is wrong with the file if it is not that one."""

    version: str
    problem: str | None


class AuditOut(Answer):
    """The last audit of the whole ledger: by the caretaker once a day, or by `farebox audit`."""

    at: Time = Field(description="When it began.")
    seconds: Credits = Field(description="How long it took.")
    accounts: int
    generations: int
    differences: int = Field(description="What did not agree; 0 when all is well.")
    unproved: int = Field(description="What never stood still to be proved; 0 when all is well.")


class AuditState(Answer):
    """When the last audit began and what it found."""

    at: Time
    differences: int = Field(description="0 when all is well.")
    unproved: int = Field(description="What never stood still to be proved; 0 when all is well.")


class QueuesOut(Answer):
    """The queues and the holds, now."""

    queues: list[QueueOut]
    providers: list[ProviderOut] | None = Field(
        description="Those of the rate card, by name; null if the queue does not answer."
    )
    held_credits: Credits
    overdue: int = Field(description="Deadlines that have passed and nobody has seen to yet; 0 when all is well.")
    open: int
    accounts: int
    rescues: dict[str, int]
    rate_card: RateCardState
    audit: AuditOut | None = Field(description="The last audit; null before the first.")


class SeriesQuery(Query):
    """Which time: the last hour, if nothing is said."""

    first: Annotated[TimeIn | None, Field(alias="from", description="An hour before `to`, if left out.")] = None
    last: Annotated[TimeIn | None, Field(alias="to", description="Now, if left out.")] = None


class WaitsOut(Answer):
    """How long generations were queued before they were first begun; null if none was. Up to 19 % too long."""

    begun: int
    median_seconds: Credits | None
    p95_seconds: Credits | None


class ToolSeries(Answer):
    """One tool over time, as lists with one value for each step; null: nobody looked."""

    tool: str
    depth: list[int | None]
    waiting: list[int | None]
    oldest_age_seconds: list[Credits | None]
    running: list[int | None]
    workers: list[int | None]
    succeeded: list[int | None] = Field(description="How many ended so since the value before.")
    failed: list[int | None]
    cancelled: list[int | None]
    wait_median_seconds: list[Credits | None] = Field(description="Of those first begun since the value before.")
    wait_p95_seconds: list[Credits | None]
    waits: WaitsOut = Field(description="Of the whole time.")


class OutcomeOut(Answer):
    """How many generations of a model ended so in the whole time."""

    tool: str
    model: str
    status: str
    code: str | None
    generations: int


class SeriesOut(Answer):
    """What the queues and the holds were like. The value at `index` is of `first_at` + `index` × `step_seconds`.

    A step longer than ten seconds shows the worst of its samples: the most, but the fewest workers.
    """

    first_at: Time
    step_seconds: int = Field(description="10 within the last hour, 60 within the last day, else 600.")
    tools: list[ToolSeries]
    open: list[int | None]
    overdue: list[int | None]
    held_credits: list[Credits | None]
    outcomes: list[OutcomeOut]


class Health(Answer):
    """The process answers."""

    status: Literal["ok"]


class Readiness(Answer):
    """`ok`, `degraded` (works, but an operator should look) or `unavailable` (answers 503)."""

    status: Literal["ok", "degraded", "unavailable"]
    problems: list[str]
    rate_card: str | None
    audit: AuditState | None = Field(description="The last audit; null before the first, and while unavailable.")
