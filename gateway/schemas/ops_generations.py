"""Generations of all accounts, for operators: without prompts, inputs and outputs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from typing_extensions import TypeAliasType

from gateway.domain import ACCOUNT_PATTERN, GENERATION_PATTERN, FailureCode, State
from gateway.schemas.base import Answer, Credits, PageQuery, Period, Text, Time, digits
from gateway.schemas.errors import PausedDetails

CURSOR_PATTERN = rf"^[0-9]{{1,16}}-{GENERATION_PATTERN.strip('^$')}$"
AGE_MAX_SECONDS = 400 * 86_400

Listed = TypeAliasType("Listed", Literal["open", "waiting", "queued", "running", "failed", "charged"])
"""Which generations operators list: `open` is waiting, queued or running; `charged`, ended with something charged."""


class OpsGenerationsQuery(Period, PageQuery):
    """Filters and paging for operators' list of generations."""

    before: (
        Annotated[str, Field(pattern=CURSOR_PATTERN, description="The `next` value of the previous page.")] | None
    ) = None
    status: Annotated[
        Listed,
        Field(
            description=(
                "`open` (waiting, queued or running), or one of these: oldest first. `failed` (of the last 30 days, at "
                "most 2,000 in each of the ledger's partitions) and `charged` (ended, with something charged, until "
                "its outputs are deleted): last ended first."
            )
        ),
    ] = "open"
    account: Annotated[str, Field(pattern=ACCOUNT_PATTERN)] | None = None
    tool: Annotated[Text, Field(max_length=64)] | None = None
    model: Annotated[Text, Field(max_length=128)] | None = None
    provider: Annotated[Text, Field(max_length=64, description="As named on the rate card.")] | None = None
    code: Annotated[FailureCode, Field(description="Only those that ended with this error.")] | None = None
    older_than_seconds: (
        Annotated[
            int,
            Field(ge=0, le=AGE_MAX_SECONDS, description="Only those created at least this long ago."),
            BeforeValidator(digits),
        ]
        | None
    ) = None


class OpsGenerationOut(Answer):
    """A generation as operators see it."""

    id: str
    object: Literal["generation_summary"]
    account: str
    key: str | None
    tool: str
    model: str
    provider: str
    status: State
    code: FailureCode | None = Field(description="Why it failed.")
    age_seconds: Credits = Field(description="From its creation until now, or until its end.")
    deadline: Time | None = Field(description="When the ledger next acts on it; null once it has ended.")
    overdue: bool = Field(description="Whether that has passed: for more than seconds only if no caretaker runs.")
    gives_up_at: Time | None = Field(
        description="When it is ended and refunded if nothing happens until then; null if its clock does not run."
    )
    paused: PausedDetails | None = Field(description="What keeps it from starting; null if nothing does.")
    attempt: int
    failures: int = Field(description="Failed attempts so far.")
    parked: bool = Field(description="Whether it is left with its provider, without a worker, until its deadline.")
    waits_for_slot: bool = Field(description="Whether it waits in its provider's queue, because the provider is full.")
    provider_job: str | None = Field(description="The provider's own id of its job.")
    cancel_requested: bool
    progress: Credits = Field(description="From 0 to 1.")
    outputs_requested: int
    outputs_delivered: int
    price: Credits
    held: Credits
    committed: Credits
    refunded: Credits
    given_back: Credits = Field(description="What operators gave back of it after its end.")
    created_at: Time
    queued_at: Time | None
    started_at: Time | None
    finished_at: Time | None


class OpsGenerationsOut(Answer):
    """A page of generations. Pass `next` as `before` to get the next page; null on the last page."""

    data: list[OpsGenerationOut]
    next: str | None
    examined: int = Field(description="How many generations were read for this page; at most about 20,000.")
    complete: bool = Field(
        description="False if more could match: there were too many to read all of them. Narrow it down by account."
    )
