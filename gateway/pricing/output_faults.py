"""Checks whether the checks of outputs fit what a rate card's tools make."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.kinds import MADE, MediaKind
from gateway.pricing.card import Check, Model, RateCard, Tool
from gateway.pricing.lines import Location
from gateway.pricing.messages import Fault

_PICTURES = frozenset({MediaKind.IMAGE, MediaKind.VIDEO})
_WITH_A_LENGTH = frozenset({MediaKind.VIDEO, MediaKind.AUDIO})


def tool_output_faults(at: Location, tool: Tool) -> Iterator[Fault]:
    """Faults of a tool that says what it makes."""
    if tool.output is not None:
        yield from _check_faults((*at, "check"), tool.check, tool.output)


def model_output_faults(card: RateCard, at: Location, model: Model) -> Iterator[Fault]:
    """Faults of a model, by what its tool says it makes."""
    tool = card.tools.get(model.tool)
    if tool is not None and tool.output is not None:
        yield from _check_faults((*at, "check"), model.check, tool.output)


def _check_faults(at: Location, check: Check, kind: MediaKind) -> Iterator[Fault]:
    if check.resolution not in {None, "off"} and kind not in _PICTURES:
        yield Fault((*at, "resolution"), f"is for images and videos, and this tool makes {MADE[kind]}: remove it")
    if check.duration and kind not in _WITH_A_LENGTH:
        yield Fault((*at, "duration"), f"is for videos and audio, and this tool makes {MADE[kind]}: remove it")
