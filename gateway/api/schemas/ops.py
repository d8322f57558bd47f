"""Operations, health and errors."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from gateway.api.schemas.base import Answer, Credits


class QueueOut(Answer):
    """One tool's queue."""

    tool: str
    depth: int = Field(description="Queued generations.")
    waiting: int = Field(description="Beyond their account's concurrency.")
    oldest_age_seconds: Credits | None = Field(description="Age of the oldest queued one; null if none is.")
    running: int
    workers: int | None = Field(description="Workers alive; null if the queue does not answer.")


class RateCardState(Answer):
    """The rate card in force, and what is wrong with the file if it is not that one."""

    version: str
    problem: str | None


class QueuesOut(Answer):
    """The queues and the holds, now."""

    queues: list[QueueOut]
    held_credits: Credits
    overdue: int = Field(description="Deadlines that have passed and nobody has seen to yet; 0 when all is well.")
    open: int
    accounts: int
    rescues: dict[str, int]
    rate_card: RateCardState


class Health(Answer):
    """The process answers."""

    status: Literal["ok"]


class Readiness(Answer):
    """`ok`, `degraded` (works, but an operator should look) or `unavailable` (answers 503)."""

    status: Literal["ok", "degraded", "unavailable"]
    problems: list[str]
    rate_card: str | None


class ErrorField(Answer):
    """What is wrong with one field."""

    path: str
    message: str


class ErrorBody(Answer):
    """`code` is for programs, `message` for people. Some codes add members of their own."""

    model_config = ConfigDict(extra="allow")

    code: str
    message: str
    request_id: str
    fields: list[ErrorField] = Field(default=[], description="Present if some field is to blame.")


class ErrorOut(Answer):
    """An answer that is an error."""

    error: ErrorBody
