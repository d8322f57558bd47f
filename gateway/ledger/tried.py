"""The providers that did not make a generation (R30), as values and as stored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
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


REFUSED = "refused"


def with_result(
    tried: Sequence[Tried], provider: str, result: str, at: int, pauses_ms: Sequence[int]
) -> tuple[Tried, ...]:
    """The same with one more result, after which the provider is not asked for as long as a pause; the last repeats."""
    known = next((one for one in tried if one.provider == provider), Tried(provider, result, 0, at, at))
    pause_ms = pauses_ms[min(known.times, len(pauses_ms) - 1)]
    new = replace(known, result=result, times=known.times + 1, at=at, until=at + pause_ms)
    return (*(new if one.provider == provider else one for one in tried), *([] if known.times else [new]))


def encode_tried(tried: Sequence[Tried]) -> str | None:
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
