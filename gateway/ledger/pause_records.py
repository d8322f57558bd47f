"""Pauses as values (R36), and as they are stored: `<since>[ wait][ until <end>],<reason>`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.clock import now_ms
from gateway.domain import NewOnes, PauseKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.redis_link.calls import Reply

_TEXT = re.compile(r"(?P<since>\d+)(?P<wait> wait)?(?: until (?P<until>\d+))?,(?P<reason>.*)")


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause, as long as it lasts: `until` at most. Times are real time (ms). `new`: what happens to new ones."""

    kind: PauseKind
    name: str
    since: int
    reason: str
    new: NewOnes = NewOnes.REFUSE
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Paused:
    """`reserve`, `begin`: operators have paused what was asked for, or the account (R36)."""

    pause: Pause


def decode_pause(texts: Reply) -> Pause:
    """A pause in a script's reply."""
    kind, name, since, new, until, reason = (text.decode() for text in texts)
    return Pause(PauseKind(kind), name, int(since), reason, NewOnes(new), int(until) if until else None)


def stored_pause(kind: PauseKind, name: str, text: str | None) -> Pause | None:
    """A pause as it is stored; None if there is none, or it has ended by itself."""
    found = _TEXT.fullmatch(text or "")
    if found is None:
        return None
    until = int(found["until"]) if found["until"] else None
    if until is not None and until <= now_ms():
        return None
    new = NewOnes.WAIT if found["wait"] else NewOnes.REFUSE
    return Pause(kind, name, int(found["since"]), found["reason"], new, until)


def pause_of_all(pauses: Sequence[Pause | None]) -> Pause | None:
    """The pause of several providers together, as `lua/lib/pauses.lua` decides; None if one of them is not paused."""
    found = [pause for pause in pauses if pause is not None]
    if not found or len(found) < len(pauses):
        return None
    return min(found, key=lambda pause: pause.new is not NewOnes.WAIT)


def how_paused(new: NewOnes, until: int | None) -> str:
    """The middle of a stored pause."""
    return (" wait" if new is NewOnes.WAIT else "") + ("" if until is None else f" until {until}")
