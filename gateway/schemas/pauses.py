"""What operators pause."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from gateway.domain import NewOnes
from gateway.schemas.base import Answer, Body, Text, Time, TimeIn

PausableKind = TypeAliasType("PausableKind", Literal["tool", "model", "provider"])
"""What is paused in all accounts at once."""

_NEW = (
    "What happens to what is new: `refuse` (`503 paused`), or `wait`: it is accepted, holds its credits, and starts "
    "once this is resumed."
)


class PauseIn(Body):
    """Why nothing starts any more, for how long, and what happens to what is new."""

    reason: Annotated[
        Text, Field(min_length=1, max_length=300, description="Shown to customers, so write it for them.")
    ]
    new: Annotated[NewOnes, Field(strict=False, description=_NEW)] = NewOnes.REFUSE
    until: Annotated[TimeIn, Field(description="When it ends by itself; default: when it is resumed.")] | None = None


class PauseState(Answer):
    """Since when operators have paused it, and why."""

    since: Time
    reason: str
    new: NewOnes = Field(description=_NEW)
    until: Time | None = Field(description="When it ends by itself; null: when an operator resumes it.")


class PauseOut(PauseState):
    """A paused tool, model or provider."""

    object: Literal["pause"]
    kind: PausableKind
    name: str


class HeldBy(PauseState):
    """The pause that keeps a generation from starting."""

    message: str = Field(description="The same as a sentence.")


class PausesOut(Answer):
    """What is paused, oldest first. Accounts show their own pause."""

    data: list[PauseOut]


class Resumed(Answer):
    """It is no longer paused."""

    kind: PausableKind
    name: str
    resumed: Literal[True]
