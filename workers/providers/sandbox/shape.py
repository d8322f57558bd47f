"""From a model's settings to pixels and seconds.

Rate cards name sizes in many ways, and all usual ones are supported: `resolution` as `2K` (longest side), `720p`
(shortest side) or `1024x1536`; `size` as `1024x1536`; `megapixels`; and `aspect_ratio` as `16:9`. A setting that is
missing or has another value (`auto`, `hd`) gets the default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import sqrt

from gateway.domain import SettingValue

_PIXELS_PER_K = 1024
_MEGAPIXEL = 1024 * 1024  # as image models count: one megapixel is 1024 × 1024
_SIDE_MIN = 64
_SIDE_MAX = 4096  # 4K; more would need 200 MB of pixels for one output
_LINES_DEFAULT = 720
_RATIO_MAX = 8.0
_SECONDS_DEFAULT = Decimal(5)
_SECONDS_MAX = Decimal(120)
_FPS = 24
_FPS_LARGE = 12  # a frame of 2160p takes four times the work of 1080p; half the frames keep it bearable
_LARGE_PIXELS = 2560 * 1440


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Clip:
    """The video to render: its size, its frames at `fps` per second, and whether it has an audio track."""

    size: Size
    frames: int
    fps: int
    audio: bool

    @property
    def seconds(self) -> Decimal:
        """The exact length, to the millisecond."""
        return round(Decimal(self.frames) / self.fps, 3)


def image_size(settings: Mapping[str, SettingValue]) -> Size:
    """The size of an image: 1024 × 1024 unless the settings say otherwise."""
    ratio = _ratio(settings.get("aspect_ratio")) or 1.0
    return _fitted(_sides(settings, ratio) or _by_longest(_PIXELS_PER_K, ratio), step=1)


def clip(settings: Mapping[str, SettingValue]) -> Clip:
    """The size, length and sound of a video: 5 s of 1280 × 720, silent, unless the settings say otherwise."""
    ratio = _ratio(settings.get("aspect_ratio")) or 16 / 9
    # Even sides: a video's colour planes have half the resolution.
    size = _fitted(_sides(settings, ratio) or _by_shortest(_LINES_DEFAULT, ratio), step=2)
    fps = _FPS_LARGE if size.width * size.height > _LARGE_PIXELS else _FPS
    seconds = min(number_in(settings.get("duration")) or _SECONDS_DEFAULT, _SECONDS_MAX)
    return Clip(size, max(2, round(seconds * fps)), fps, _is_on(settings.get("audio")))


def _sides(settings: Mapping[str, SettingValue], ratio: float) -> tuple[float, float] | None:
    """Width and height from the settings, not yet in whole pixels; None if they have none."""
    resolution = _text(settings.get("resolution"))
    for exact in (_text(settings.get("size")), resolution):
        if sides := re.fullmatch(r"(\d{2,5})\s*[x×*]\s*(\d{2,5})", exact):
            return float(sides[1]), float(sides[2])
    if longest := re.fullmatch(r"(\d{1,2}(?:\.\d+)?)\s*k", resolution):
        return _by_longest(float(longest[1]) * _PIXELS_PER_K, ratio)
    if shortest := re.fullmatch(r"(\d{2,4})\s*p", resolution):
        return _by_shortest(float(shortest[1]), ratio)
    if megapixels := number_in(settings.get("megapixels")):
        height = sqrt(float(megapixels) * _MEGAPIXEL / ratio)
        return height * ratio, height
    return None


def _by_longest(longest: float, ratio: float) -> tuple[float, float]:
    return longest * min(1, ratio), longest * min(1, 1 / ratio)


def _by_shortest(shortest: float, ratio: float) -> tuple[float, float]:
    return shortest * max(1, ratio), shortest * max(1, 1 / ratio)


def _fitted(sides: tuple[float, float], step: int) -> Size:
    """Whole pixels, multiples of `step`, within bounds and with the same aspect ratio."""
    shrink = min(1.0, _SIDE_MAX / max(sides))
    width, height = (max(_SIDE_MIN, round(side * shrink / step) * step) for side in sides)
    return Size(width, height)


def _text(value: SettingValue | None) -> str:
    return "" if value is None else str(value).strip().lower()


def _ratio(value: SettingValue | None) -> float | None:
    parts = re.fullmatch(r"(\d{1,5}(?:\.\d+)?)\s*[:/x]\s*(\d{1,5}(?:\.\d+)?)", _text(value))
    if parts is None or not float(parts[1]) or not float(parts[2]):
        return None
    return min(_RATIO_MAX, max(1 / _RATIO_MAX, float(parts[1]) / float(parts[2])))


def number_in(value: SettingValue | None) -> Decimal | None:
    """A positive number in a setting: `5`, `Decimal("2.5")`, `"5s"`; None if it is not one."""
    digits = re.match(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", _text(value)) if not isinstance(value, bool) else None
    return (Decimal(digits[0]) or None) if digits else None


def _is_on(value: SettingValue | None) -> bool:
    return value is True or (isinstance(value, str) and _text(value) in {"on", "true", "yes"})
