"""Operators' bulk operations: cancel, retry or refund many generations, first as a dry run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator
from typing_extensions import TypeAliasType

from gateway.domain import ACCOUNT_PATTERN, GENERATION_PATTERN, FailureCode
from gateway.schemas.base import WHOLE, Answer, Body, Counts, Credits, Text, Time, TimeIn
from gateway.schemas.ops_generations import AGE_MAX_SECONDS, OpsGenerationOut

NAMED_MAX = 100
BULK_MAX = 1000
BULK_PATTERN = r"^blk_[a-z2-7]{26}$"

BulkAction = TypeAliasType("BulkAction", Literal["cancel", "retry", "refund"])
"""What is done with each generation."""


OpenStatus = TypeAliasType("OpenStatus", Literal["waiting", "queued", "running"])
"""The status of a generation that is open."""


def _without_null(schema: dict[str, Any]) -> None:
    """A filter has at least one member, and none that is null."""
    schema["minProperties"] = 1
    for member in schema["properties"].values():
        (shape,) = [shape for shape in member.pop("anyOf") if shape != {"type": "null"}]
        member.pop("default", None)
        member.update(shape | member)


class BulkFilter(Body):
    """Which generations: those that match all filters. At least one is required."""

    model_config = ConfigDict(json_schema_extra=_without_null)

    account: Annotated[str, Field(pattern=ACCOUNT_PATTERN)] | None = None
    tool: Annotated[Text, Field(min_length=1, max_length=64)] | None = None
    model: Annotated[Text, Field(min_length=1, max_length=128)] | None = None
    provider: Annotated[Text, Field(min_length=1, max_length=64)] | None = None
    status: Annotated[OpenStatus, Field(description="Only for `cancel`: of those that are open.")] | None = None
    code: Annotated[FailureCode, Field(strict=False, description="Only those that ended with this error.")] | None = (
        None
    )
    created_after: Annotated[TimeIn, Field(description="Created at or after this time.")] | None = None
    created_before: Annotated[TimeIn, Field(description="Created before this time.")] | None = None
    older_than_seconds: (
        Annotated[
            int, Field(ge=0, le=AGE_MAX_SECONDS, description="Created at least this long before the dry run."), WHOLE
        ]
        | None
    ) = None
    generations: (
        Annotated[
            tuple[Annotated[str, Field(pattern=GENERATION_PATTERN)], ...],
            Field(min_length=1, max_length=NAMED_MAX, strict=False, description="Only these, by their ids."),
        ]
        | None
    ) = None

    @model_validator(mode="before")
    @classmethod
    def _is_one(cls, given: Any) -> Any:
        """Not everything is changed at once, and a null is no filter."""
        if given == {}:
            raise ValueError("must have at least one filter")
        if isinstance(given, dict) and (empty := [name for name, value in given.items() if value is None]):
            raise ValueError(f"must not have null for {empty[0]}; leave it out")
        return given


Reason = Annotated[Text, Field(min_length=1, max_length=300, description="Shown to the customer in the journal.")]


class ReasonIn(Body):
    """Why."""

    reason: Reason


class BulkIn(Body):
    """What to do, and why. Without a `token` it is a dry run; with the dry run's token it is done."""

    filter: BulkFilter
    reason: Reason
    token: (
        Annotated[
            str,
            Field(
                pattern=BULK_PATTERN,
                description="From the dry run with this filter and reason; good for ten minutes. Repeat the call with "
                "it until `complete`.",
            ),
        ]
        | None
    ) = None


class BulkOut(Answer):
    """A bulk operation: what a dry run found, or how far it has come."""

    id: str
    object: Literal["bulk"]
    action: BulkAction
    dry_run: bool
    token: str
    expires_at: Time = Field(description="Until when the first call with the token must be made.")
    count: int = Field(description="Generations that the dry run found; nothing else is touched.")
    accounts: int = Field(description="How many accounts they belong to.")
    credits: Credits = Field(
        description=(
            "Of all of them: what they hold (`cancel`; what was delivered stays charged), what they would hold "
            "(`retry`), or what they were charged (`refund`)."
        )
    )
    limit: int = Field(description="One operation covers at most so many.")
    more: bool = Field(description="Whether others match beyond the limit: make another dry run afterwards.")
    complete: bool = Field(description="Whether all are done; if not, repeat the call.")
    done: int
    remaining: int
    results: Counts = Field(
        description=(
            "How many had each result: `cancelled`, `stopping` (it was running and ends soon), `retried`, `refunded`; "
            "otherwise why nothing was done: an error code, or `already_ended`, `already_retried`, `given_back`, …"
        )
    )
    credits_moved: Credits = Field(description="Credits returned, held or given back so far.")
    generations: list[OpsGenerationOut] = Field(
        default=[], description="The first 20 of them; only in the response to a dry run."
    )
