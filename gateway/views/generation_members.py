"""A generation as the dict that is serialized to JSON; mypy checks its members.

`gateway.schemas.generations` describes the same for `/openapi.json`; `tests/unit/test_views.py` checks that both agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

from gateway.domain import Bucket, FailureCode, State
from gateway.metering import Unit
from gateway.views.pauses import HeldByMembers

Number = int | float
"""A number of credits or a measure, for JSON."""


class LineMembers(TypedDict):
    """One line of a price."""

    label: str
    credits: Number
    count: Number
    total: Number
    unit: NotRequired[Unit]


class PriceMembers(TypedDict):
    """The firm price."""

    credits: Number
    at_most: NotRequired[bool]
    lines: list[LineMembers]
    rate_card: str


class ShareMembers(TypedDict):
    """One bucket's share of the price."""

    bucket: Bucket
    credits: Number


class CreditsMembers(TypedDict):
    """Its credits: held, committed, refunded, and who pays."""

    held: Number
    committed: Number
    refunded: Number
    allocation: list[ShareMembers]
    given_back: NotRequired[Number]


class OutputMembers(TypedDict):
    """One output."""

    index: int
    url: str | None
    content_type: str
    bytes: int
    width: NotRequired[int]
    height: NotRequired[int]
    sha256: str
    duration_seconds: NotRequired[Number]
    reported: NotRequired[dict[Unit, Number | None]]
    characters: NotRequired[int]
    deleted: NotRequired[bool]


class FailureMembers(TypedDict):
    """Why it failed."""

    code: FailureCode
    message: str


class InputMembers(TypedDict):
    """One input."""

    kind: str
    url: str | None


class DelayMembers(TypedDict):
    """What keeps it from going on."""

    reason: Literal["provider_unreachable"]
    gives_up_at: str | None
    message: str


class TriedMembers(TypedDict):
    """A provider that did not make it."""

    provider: str
    result: str
    times: int
    at: str | None


class WorkMembers(TypedDict):
    """Who makes it, for operators."""

    provider: str
    provider_job: str | None
    submitted_at: str | None
    failures: int
    gives_up_at: str | None
    tried: list[TriedMembers]


class GenerationMembers(TypedDict):
    """A generation; optional members are written last."""

    id: str
    object: Literal["generation"]
    account: str
    key: str | None
    member: str | None
    status: State
    tool: str
    model: str
    prompt: str
    settings: dict[str, str | Number]
    outputs_requested: int
    price: PriceMembers
    credits: CreditsMembers
    outputs: list[OutputMembers]
    progress: Number
    attempt: int
    error: FailureMembers | None
    metadata: Mapping[str, Any]
    tags: Mapping[str, str]
    created_at: str
    started_at: str | None
    finished_at: str | None
    queue_position: NotRequired[int | None]
    paused: NotRequired[HeldByMembers]
    delayed: NotRequired[DelayMembers]
    retry_of: NotRequired[str]
    cancel_requested: NotRequired[bool]
    outputs_expire_at: NotRequired[str]
    outputs_deleted: NotRequired[bool]
    withheld: NotRequired[bool]
    inputs: NotRequired[list[InputMembers]]
    work: NotRequired[WorkMembers]
