"""What operators pause."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from gateway.schemas.base import Answer, Body, Text, Time

PausableKind = TypeAliasType("PausableKind", Literal["tool", "model", "provider"])
"""What is paused in all accounts at once."""


class PauseIn(Body):
    """Why nothing new is accepted."""

    reason: Annotated[
        Text, Field(min_length=1, max_length=300, description="Shown to whoever is refused, so write it for customers.")
    ]


class PauseOut(Answer):
    """A paused tool, model or provider."""

    object: Literal["pause"]
    kind: PausableKind
    name: str
    reason: str
    since: Time


class PausesOut(Answer):
    """What is paused, oldest first. Accounts show their own pause."""

    data: list[PauseOut]


class Resumed(Answer):
    """It is no longer paused."""

    kind: PausableKind
    name: str
    resumed: Literal[True]
