"""Checks outputs against the request's settings; the rate card says how strictly.

Vendors round: a video of 5 s has 121 frames, 720p arrives as 1280 × 704. So each check has a margin. Others ignore a
setting altogether, and nobody should pay for 15 s when the clip has one. Settings without a defined meaning (`auto`)
are not checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from gateway.domain import Output, SettingValue
from gateway.kinds import MediaKind, kind_asked
from gateway.media import Media

ResolutionCheck = Literal["exact", "at_least", "aspect", "off"]

DURATION_MARGIN = Decimal("0.95")
"""The default minimum share of the requested length."""
ROUNDING_PIXELS = 16
"""Models round sides to multiples of 8 or 16."""
_ASPECT_MARGIN = 0.03  # 1280 × 704 is 2.3 % off 16:9
_PIXELS_PER_K = 1024
_SECONDS_TOLD = Decimal("0.1")  # less is a frame or two


@dataclass(frozen=True, slots=True)
class OutputChecks:
    """Which checks apply to an output. `duration`: the minimum share of the ordered seconds; 0: not checked."""

    duration: Decimal = DURATION_MARGIN
    resolution: ResolutionCheck = "off"


@dataclass(frozen=True, slots=True)
class OutputRequirements:
    """The settings that each output is checked against, and how strictly."""

    tool: str
    settings: Mapping[str, SettingValue]
    checks: OutputChecks = OutputChecks()
    output: MediaKind | None = None

    @property
    def kind(self) -> MediaKind | None:
        """The kind of output requested; None if nothing tells."""
        return kind_asked(self.tool, self.settings, self.output)

    def fault_of(self, media: Media) -> str | None:
        """How this differs from the request; None if it passes the checks."""
        kind = self.kind
        if kind not in {None, MediaKind.FILE, media.kind}:
            return f"is {media.content_type}, but {_A_KIND[kind]} was requested"
        return self._too_short(media) or self._wrong_size(media)

    def _too_short(self, media: Media) -> str | None:
        ordered, delivered = ordered_seconds(self.settings), media.duration_seconds
        if ordered is None or delivered is None or delivered >= ordered * self.checks.duration:
            return None
        return f"lasts {delivered} s, but {ordered} s were requested"

    def _wrong_size(self, media: Media) -> str | None:
        check, settings = self.checks.resolution, self.settings
        if media.width is None or media.height is None:
            return None
        size, ratio = ordered_size(settings), ordered_ratio(settings)
        delivered = f"has {media.width} × {media.height} pixels"
        if check == "exact" and size is not None and (media.width, media.height) != size:
            return f"{delivered}, but {size[0]} × {size[1]} were requested"
        if check == "at_least" and (least := _least_sides(settings)) is not None:
            shortest, longest = sorted((media.width, media.height))
            if shortest + ROUNDING_PIXELS < least[0] or longest + ROUNDING_PIXELS < least[1]:
                return f"{delivered}, but at least {max(least)} per side were requested"
        if check != "off" and ratio is not None and abs(media.width / media.height / ratio - 1) > _ASPECT_MARGIN:
            return f"{delivered}, which is not the requested aspect ratio"
        return None


def differences(settings: Mapping[str, SettingValue], outputs: Iterable[Output]) -> Iterator[tuple[int, str]]:
    """Outputs that differ slightly from the request, and how, for the receipt: rounding that the checks allow."""
    seconds, size = ordered_seconds(settings), ordered_size(settings)
    for output in outputs:
        lasts = output.duration_seconds
        if seconds is not None and lasts is not None and abs(lasts - seconds) >= _SECONDS_TOLD:
            yield output.index, f"Ordered: {seconds.normalize():f} s. Delivered: {lasts.normalize():f} s."
        if size is not None and output.width is not None and (output.width, output.height) != size:
            delivered = f"{output.width} × {output.height}"
            yield output.index, f"Ordered: {size[0]} × {size[1]} pixels. Delivered: {delivered} pixels."


def ordered_seconds(settings: Mapping[str, SettingValue]) -> Decimal | None:
    """The length in the `duration` setting: `5`, `"5s"`; None if there is none, or none that is a number (`auto`)."""
    value = settings.get("duration")
    digits = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)\s*(?:s|seconds?)?", _text(value)) if value is not None else None
    return (Decimal(digits[1]) or None) if digits else None


def ordered_size(settings: Mapping[str, SettingValue]) -> tuple[int, int] | None:
    """Width and height, if the `size` or `resolution` setting has both: `1024x1536`, `1024-x-768`."""
    for name in ("size", "resolution"):
        if sides := re.fullmatch(r"(\d{2,5})\s*-?[x×*]-?\s*(\d{2,5})", _text(settings.get(name))):
            return int(sides[1]), int(sides[2])
    return None


def ordered_ratio(settings: Mapping[str, SettingValue]) -> float | None:
    """Width ÷ height, from `aspect_ratio` (`16:9`) or the size; None if there is neither."""
    if parts := re.fullmatch(r"(\d{1,5}(?:\.\d+)?)\s*[:/]\s*(\d{1,5}(?:\.\d+)?)", _text(settings.get("aspect_ratio"))):
        width, height = float(parts[1]), float(parts[2])
        return width / height if height else None
    size = ordered_size(settings)
    return size[0] / size[1] if size is not None else None


def _least_sides(settings: Mapping[str, SettingValue]) -> tuple[float, float] | None:
    """The minimum shortest and longest side; 0: not given. `720p` is the shortest side, `2K` the longest."""
    size, resolution = ordered_size(settings), _text(settings.get("resolution"))
    if size is not None:
        return min(size), max(size)
    if lines := re.fullmatch(r"(\d{3,4})p", resolution):
        return float(lines[1]), 0
    if thousands := re.fullmatch(r"(\d{1,2}(?:\.\d+)?)k", resolution):
        return 0, float(thousands[1]) * _PIXELS_PER_K
    return None


def _text(value: SettingValue | None) -> str:
    return "" if value is None or isinstance(value, bool) else str(value).strip().lower()


_A_KIND = {
    MediaKind.IMAGE: "an image",
    MediaKind.VIDEO: "a video",
    MediaKind.AUDIO: "audio",
    MediaKind.TEXT: "text",
    MediaKind.FILE: "a file",
    None: "",
}
