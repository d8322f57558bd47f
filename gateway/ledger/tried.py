"""The providers that did not make a generation (R30), as values and as stored."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.ledger.outcomes import Generation


@dataclass(frozen=True, slots=True)
class Tried:
    """What a provider said when it did not make a generation, how often, and when last.

    `result` is `refused` (before it had a job) or a failure's code. It is not asked again before `until`.
    """

    provider: str
    result: str
    times: int
    at: int
    until: int


def encode_tried(tried: Iterable[Tried]) -> str | None:
    """As stored; None if there is none."""
    return json.dumps([astuple(one) for one in tried], separators=(",", ":")) if tried else None


def decode_tried(text: str | None) -> tuple[Tried, ...]:
    """As it was stored; nothing if it was not."""
    return tuple(Tried(*each) for each in json.loads(text)) if text else ()


def may_change_provider(generation: Generation) -> bool:
    """Whether another provider may be chosen for its next attempt: this one has no job, and none can appear.

    An attempt that ended in another way may have left a job (R17).
    """
    return generation.provider_ref is None and generation.released == generation.attempt
