"""From a model's settings to pixels and seconds.

Rate cards name sizes in many ways, so every usual one is understood: `resolution` as `2K` (longest side), `720p`
(shortest side) or `1024x1536`; `size` as `1024x1536`; `megapixels`; and `aspect_ratio` as `16:9`. A setting that is
missing or says something else (`auto`, `hd`) gets the default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from math import sqrt

from gateway.domain import SettingValue

_PIXELS_PER_K = 1024
_MEGAPIXEL = 1024 * 1024  # as image models count: one megapixel is 1024 × 1024
_SIDE_MIN = 64
_IMAGE_SIDE_MAX = 4096  # 4K; more would be 200 MB of pixels in work for one output
_VIDEO_SIDE_MAX = 4096
_RATIO_MAX = 8.0
_SECONDS_DEFAULT = Decimal(5)
_SECONDS_MAX = Decimal(120)
_FPS = 24
_FPS_LARGE = 12  # 2160p takes four times the work a frame of 1080p does; half the frames keep it bearable
_LARGE_PIXELS = 2560 * 1440


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Clip:
    """What a video is to be: its size, frames at `fps` a second, and whether it has an audio track."""

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
    return _size(settings, ratio_default=1.0, side_max=_IMAGE_SIDE_MAX, even=False)


def clip(settings: Mapping[str, SettingValue]) -> Clip:
    """The size, length and sound of a video: 5 s of 1280 × 720, silent, unless the settings say otherwise."""
    size = _size(settings, ratio_default=16 / 9, side_max=_VIDEO_SIDE_MAX, even=True)
    fps = _FPS_LARGE if size.width * size.height > _LARGE_PIXELS else _FPS
    seconds = min(_number(settings.get("duration")) or _SECONDS_DEFAULT, _SECONDS_MAX)
    return Clip(size, max(2, round(seconds * fps)), fps, _is_on(settings.get("audio")))


def is_video(tool: str, settings: Mapping[str, SettingValue]) -> bool:
    """Whether a video is asked for: by the `video` tool, or by a model of another tool that has a duration."""
    return tool == "video" or "duration" in settings


def _size(settings: Mapping[str, SettingValue], ratio_default: float, side_max: int, *, even: bool) -> Size:
    ratio = _ratio(settings.get("aspect_ratio")) or ratio_default
    for name in ("size", "resolution"):
        if exact := re.fullmatch(r"(\d{2,5})\s*[x×*]\s*(\d{2,5})", str(settings.get(name, "")).strip().lower()):
            return _fitted(int(exact[1]), int(exact[2]), side_max, even=even)
    resolution = str(settings.get("resolution", "")).strip().lower()
    if by_longest := re.fullmatch(r"(\d{1,2}(?:\.\d+)?)\s*k", resolution):
        longest = float(by_longest[1]) * _PIXELS_PER_K
        return _fitted(min(longest, longest * ratio), min(longest, longest / ratio), side_max, even=even)
    if by_shortest := re.fullmatch(r"(\d{2,4})\s*p", resolution):
        return _by_shortest(int(by_shortest[1]), ratio, side_max, even=even)
    megapixels = _number(settings.get("megapixels"))
    if not megapixels and (by_area := re.fullmatch(r"(\d{1,2}(?:\.\d+)?)\s*mp", resolution)):
        megapixels = Decimal(by_area[1])
    if megapixels:
        height = sqrt(float(megapixels) * _MEGAPIXEL / ratio)
        return _fitted(height * ratio, height, side_max, even=even)
    if even:  # a video: 720p
        return _by_shortest(720, ratio, side_max, even=even)
    return _fitted(min(_PIXELS_PER_K, _PIXELS_PER_K * ratio), min(_PIXELS_PER_K, _PIXELS_PER_K / ratio), side_max, even=even)


def _by_shortest(shortest: float, ratio: float, side_max: int, *, even: bool) -> Size:
    return _fitted(max(shortest, shortest * ratio), max(shortest, shortest / ratio), side_max, even=even)


def _fitted(width: float, height: float, side_max: int, *, even: bool) -> Size:
    """Whole pixels within bounds; even ones for video, whose colour planes have half the resolution."""
    shrink = min(1.0, side_max / max(width, height))
    step = 2 if even else 1
    sides = (max(_SIDE_MIN, round(side * shrink / step) * step) for side in (width, height))
    return Size(*sides)


def _ratio(value: SettingValue | None) -> float | None:
    parts = re.fullmatch(r"(\d{1,5}(?:\.\d+)?)\s*[:/x]\s*(\d{1,5}(?:\.\d+)?)", str(value or "").strip().lower())
    if parts is None or not float(parts[1]) or not float(parts[2]):
        return None
    return min(_RATIO_MAX, max(1 / _RATIO_MAX, float(parts[1]) / float(parts[2])))


def _number(value: SettingValue | None) -> Decimal | None:
    """A positive number in a setting: `5`, `Decimal("2.5")`, `"5s"`; None if it is none."""
    digits = re.match(r"\d+(?:\.\d+)?", str(value).strip()) if not isinstance(value, bool) else None
    try:
        number = Decimal(digits[0]) if digits else Decimal(0)
    except InvalidOperation:  # pragma: no cover - the pattern admits only decimals
        return None
    return number or None


def _is_on(value: SettingValue | None) -> bool:
    return value is True or (isinstance(value, str) and value.lower() in {"on", "true", "yes"})
