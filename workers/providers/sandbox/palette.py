"""The colours of the sandbox's landscapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """The colours of one hour and place: sky from zenith to horizon, ridges from far to near."""

    sky: tuple[Rgb, Rgb, Rgb]
    sun: Rgb
    cloud: Rgb
    ridges: tuple[Rgb, Rgb, Rgb]
    accent: Rgb
    stars: bool = False
    peaks: bool = False
    pines: bool = False


def _rgb(colour: str) -> Rgb:
    red, green, blue = bytes.fromhex(colour)
    return red, green, blue


def _palette(
    sky: str,
    sun: str,
    cloud: str,
    ridges: str,
    accent: str,
    *,
    stars: bool = False,
    peaks: bool = False,
    pines: bool = False,
) -> Palette:
    zenith, middle, horizon = (_rgb(colour) for colour in sky.split())
    far, between, near = (_rgb(colour) for colour in ridges.split())
    return Palette(
        sky=(zenith, middle, horizon),
        sun=_rgb(sun),
        cloud=_rgb(cloud),
        ridges=(far, between, near),
        accent=_rgb(accent),
        stars=stars,
        peaks=peaks,
        pines=pines,
    )


PALETTES = (
    _palette("2f3268 b5637f ffc085", "fff0cf", "f4a48c", "b0607f 683a68 1d1634", "ffb27d", peaks=True),  # dawn
    _palette("2b79b4 86c3dc edf4e4", "fffce8", "ffffff", "82b3c4 3b7c95 0c2f42", "8fd3ea", peaks=True),  # noon
    _palette("3f8480 9ccab0 f5edc9", "fffbe3", "fdf7dd", "8dbaa0 3f7d69 0f2b27", "a6dcb6", pines=True),  # forest
    _palette("0a0f2c 232f66 6f74ae", "f4f1e4", "5a62a0", "4d5596 272e63 070a1b", "aab2f0", stars=True, pines=True),
    _palette("cf6f47 efae76 fce6c3", "fff6dd", "fbd3a4", "dc9566 a4553f 421a1d", "ffc78e"),  # desert
    _palette("62478a d387ac fcdccf", "fff3ea", "f6bcc6", "b381ab 6f4480 261539", "f4b3cf"),  # heather
    _palette("0f3d4f 2f8f8f ffd9a0", "fff4d6", "f7c79a", "5d9d97 25606a 08202b", "8fe0cf", peaks=True, pines=True),
)


def mixed(stops: Sequence[Rgb], at: float) -> Rgb:
    """The colour at `at`, 0 to 1, of a gradient through evenly spaced stops."""
    place = min(max(at, 0.0), 1.0) * (len(stops) - 1)
    first = min(int(place), len(stops) - 2)
    part = place - first
    red, green, blue = (
        round(before + (after - before) * part) for before, after in zip(stops[first], stops[first + 1], strict=True)
    )
    return red, green, blue
