"""A video's duration and size in OpenAI's form: `"8"` and `"1280x720"`."""

from __future__ import annotations

import re
from decimal import Decimal

from gateway.ledger import outcomes
from gateway.pricing.card import RateCard
from gateway.pricing.quote import billed_as
from gateway.pricing.values import plain

_DURATION = "duration"


def billed_seconds(video: outcomes.Generation) -> str | None:
    """The charged seconds, as text: those requested, or what the rate then rounded them up to."""
    ordered = video.request.settings.get(_DURATION)
    if isinstance(ordered, int | Decimal) and not isinstance(ordered, bool):
        return billed_as(video.request.lines, ordered)
    delivered = next((output.duration_seconds for output in video.outputs), None)
    return None if delivered is None else f"{plain(Decimal(delivered)):f}"


def size_of(card: RateCard, video: outcomes.Generation) -> str | None:
    """The delivered size; before that the requested one: from the card's table, else ratio and shortest side."""
    if video.outputs:
        return f"{video.outputs[0].width}x{video.outputs[0].height}"
    settings, model = video.request.settings, card.models.get(video.request.model)
    tables = () if model is None else (model.facade.get("openai", {}), card.tools[model.tool].facade.get("openai", {}))
    for table in tables:
        sizes = table.get("size", {})
        if not isinstance(sizes, str):
            for size, means in sizes.items():
                if all(settings.get(name) == value for name, value in means.items()):
                    return size
    ratio = re.fullmatch(r"(\d{1,3}):(\d{1,3})", str(settings.get("aspect_ratio", "")))
    short = re.fullmatch(r"(\d{3,4})p", str(settings.get("resolution", "")))
    if ratio is None or short is None:
        return None
    width, height, side = int(ratio[1]), int(ratio[2]), int(short[1])
    scale = Decimal(side) / min(width, height)
    return f"{_even(width * scale)}x{_even(height * scale)}"


def _even(side: Decimal) -> int:
    return round(side / 2) * 2
