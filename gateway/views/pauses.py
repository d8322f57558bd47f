"""Pauses as callers see them."""

from __future__ import annotations

from typing import Any, TypedDict

from gateway.ledger.pause_records import Pause
from gateway.schemas import pauses as pause_schemas
from gateway.schemas.base import utc
from gateway.schemas.errors import PausedDetails


class PauseMembers(TypedDict):
    """A pause as JSON values: the members of `PauseState`."""

    since: str
    reason: str
    new: str
    until: str | None


class HeldByMembers(PauseMembers):
    """A pause that holds a generation."""

    message: str


def pause_members(pause: Pause) -> PauseMembers:
    """A pause, without what is paused."""
    return {"since": utc(pause.since), "reason": pause.reason, "new": pause.new, "until": utc(pause.until)}


def held_by_members(pause: Pause) -> HeldByMembers:
    """A pause as shown in a generation that it holds."""
    why = f": {pause.reason.rstrip('.')}" if pause.reason else ""
    message = (
        f"Paused by the operator of this gateway{why}. It keeps its place and its credits stay held; the time until it "
        "would be given up stands still. It can be cancelled."
    )
    return {**pause_members(pause), "message": message}


def pause_state(pause: Pause) -> pause_schemas.PauseState:
    """A pause, without what is paused."""
    return pause_schemas.PauseState(**pause_members(pause))


def pause_shape(pause: Pause) -> pause_schemas.PauseOut:
    """A paused tool, model or provider."""
    kind: Any = pause.kind.value
    return pause_schemas.PauseOut(object="pause", kind=kind, name=pause.name, **pause_members(pause))


def paused_details(pause: Pause) -> PausedDetails:
    """A pause with what is paused, as in the error `paused`."""
    return PausedDetails(
        kind=pause.kind, name=pause.name, reason=pause.reason, since=utc(pause.since), until=utc(pause.until)
    )
