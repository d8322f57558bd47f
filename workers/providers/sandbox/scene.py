"""The sandbox's art: a sky with a sun or moon over five ridges, drawn from a seed.

The expensive parts are drawn once, as layers: colour, and a mask wider than the picture. A frame is then only those
layers pasted over each other, each shifted by a whole number of pixels, nearer ones faster: motion without jitter, at a
few milliseconds per frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workers.providers.sandbox.palette import PALETTES, Rgb, mixed

_Line = NDArray[np.float32]

_RIDGES = 5
_SPEEDS = (1, 2, 3, 4, 6)  # pixels per frame, far to near, in a picture of 960 to 1919 pixels at 24 frames per second
_PERIODS = 2  # a layer's mask repeats after two picture widths, so that its memory does not grow with the clip
_FPS_OF_SPEEDS = 24


@dataclass(frozen=True, slots=True)
class _Layer:
    """Colour seen through a mask that slides by `speed` pixels per frame and repeats after `period`."""

    colour: Image.Image
    mask: Image.Image
    top: int
    speed: int
    period: int


class Scene:
    """One landscape, the same for the same seed and size. `frame(n)` draws frame n."""

    def __init__(self, width: int, height: int, seed: int, fps: int | None = None) -> None:
        """Draw the layers; without `fps` the scene is a still and its masks are no wider than the picture."""
        self._width = width
        self._height = height
        self._random = Random(seed)  # noqa: S311 - art, not secrets
        self.palette = self._random.choice(PALETTES)
        self._still = fps is None
        self._pace = max(1, round(width / 960 * _FPS_OF_SPEEDS / (fps or _FPS_OF_SPEEDS)))
        self._sky = self._draw_sky()
        self._sun, self._sun_at = self._draw_sun()
        self._layers = [self._draw_clouds(), *self._draw_ridges()]

    def frame(self, number: int) -> Image.Image:
        """Frame `number`, RGB."""
        picture = self._sky.copy()
        left, top = self._sun_at
        rise = min(number * self._pace // 3, self._height // 5)
        picture.paste(self.palette.sun, (left, top - rise), self._sun)
        for layer in self._layers:
            offset = layer.speed * number % layer.period
            mask = layer.mask.crop((offset, 0, offset + self._width, layer.mask.height))
            picture.paste(layer.colour, (0, layer.top), mask)
        return picture

    def _draw_sky(self) -> Image.Image:
        sky = _gradient(self.palette.sky, self._width, self._height)
        if self.palette.stars:
            for _ in range(120):
                at = (self._random.randrange(self._width), int(self._height * 0.6 * self._random.random() ** 1.5))
                size = max(1, round(min(self._width, self._height) / 700 * self._random.choice((1, 1, 1, 2))))
                light = mixed((self.palette.sky[1], (255, 255, 255)), 0.3 + 0.6 * self._random.random())
                sky.paste(light, (at[0], at[1], at[0] + size, at[1] + size))
        return sky

    def _draw_sun(self) -> tuple[Image.Image, tuple[int, int]]:
        """The disc with its glow as a mask, and the position of its box in the first frame."""
        radius = min(self._width, self._height) * self._random.uniform(0.085, 0.13)
        half = round(radius * 4)
        axis = np.arange(-half, half, dtype=np.float32) + 0.5
        distance = np.sqrt(axis[:, None] ** 2 + axis[None, :] ** 2)
        disc = np.clip(radius - distance + 0.5, 0, 1)
        fade = np.clip(1 - distance / half, 0, 1)
        glow = 0.55 * fade * fade * np.exp(-np.maximum(distance - radius, 0) / (radius * 1.4))
        mask = Image.fromarray((np.maximum(disc, glow) * 255).astype(np.uint8))
        centre = (self._width * self._random.uniform(0.22, 0.78), self._height * self._random.uniform(0.3, 0.42))
        return mask, (round(centre[0]) - half, round(centre[1]) - half)

    def _draw_clouds(self) -> _Layer:
        """Long soft bands; smooth, so they are drawn at an eighth and scaled up."""
        period = self._width * (1 if self._still else _PERIODS)
        width, height = max(8, period // 8), max(8, self._height * 5 // 80)
        x = np.arange(width, dtype=np.float32)[None, :]
        y = np.arange(height, dtype=np.float32)[:, None]
        density = np.zeros((height, width), np.float32)
        for _ in range(7 * (1 if self._still else _PERIODS)):
            across = np.abs(x - self._random.uniform(0, width))
            across = np.minimum(across, width - across) / (self._width / 8 * self._random.uniform(0.08, 0.3))
            down = (y - height * self._random.uniform(0.1, 0.85)) / (height * self._random.uniform(0.02, 0.07))
            density += self._random.uniform(0.25, 0.6) * np.exp(-(across**2) - down**2)
        tile = Image.fromarray((np.clip(density, 0, 0.75) * 255).astype(np.uint8))
        tile = tile.resize((period, self._height // 2), Image.Resampling.BICUBIC)
        mask = Image.new("L", (period if self._still else period + self._width, tile.height))
        mask.paste(tile, (0, 0))
        mask.paste(tile, (period, 0))
        colour = Image.new("RGB", (self._width, tile.height), self.palette.cloud)
        return _Layer(colour, mask, round(self._height * 0.06), self._pace, period)

    def _draw_ridges(self) -> list[_Layer]:
        outlines = [self._outline(depth / (_RIDGES - 1)) for depth in range(_RIDGES)]
        layers = []
        for depth, outline in enumerate(outlines):
            # Below the lowest point of the next ridge this one is hidden.
            last = depth == _RIDGES - 1
            bottom = self._height if last else min(self._height, int(outlines[depth + 1].max()) + 2)
            top = min(max(0, int(outline.min()) - 1), self._height - 2)
            layers.append(self._ridge(depth, outline, top, max(bottom, top + 2)))
        return layers

    def _ridge(self, depth: int, outline: _Line, top: int, bottom: int) -> _Layer:
        rows = np.arange(top, bottom, dtype=np.float32)[:, None] + 0.5
        # How far inside the ridge a pixel is, measured across the slope, so that steep edges are smooth too.
        steep = np.sqrt(1 + np.gradient(outline) ** 2).astype(np.float32)
        mask = np.clip((rows - outline[None, :]) * (255 / steep)[None, :] + 128, 0, 255).astype(np.uint8)
        near = depth / (_RIDGES - 1)
        crest = mixed(self.palette.ridges, near)
        foot = mixed((crest, self.palette.sky[-1]), 0.32 * (1 - near))
        colour = _gradient((crest, foot), self._width, bottom - top)
        period = self._width if self._still else self._width * _PERIODS
        return _Layer(colour, Image.fromarray(mask), top, _SPEEDS[depth] * self._pace, period)

    def _outline(self, near: float) -> _Line:
        """The height of a ridge's edge above each column, as y: far ridges high and rough, near ones low and round."""
        period = self._width * _PERIODS
        turn = np.linspace(0, 2 * np.pi, period, endpoint=False, dtype=np.float32)
        wide = max(1.0, self._width / self._height)
        line = np.zeros(period, np.float32)
        for octave in range(5):
            cycles = round((2 + 2 * near) * wide * 2**octave * self._random.uniform(0.8, 1.2)) or 1
            phase = self._random.uniform(0, 2 * np.pi)
            wave = np.sin(turn * cycles + phase)
            if self.palette.peaks:
                wave = (1 - 2 * np.abs(np.arcsin(wave)) * (2 / np.pi)) * (1 - near) + wave * near
            line += wave * 0.5 ** (octave * (1.0 + near))
        spread = self._height * (0.055 + 0.03 * (1 - near) * (2 if self.palette.peaks else 1))
        line = self._height * (0.52 + 0.3 * near) - line * spread
        if self.palette.pines and near >= 0.5:  # noqa: PLR2004 - the two nearest ridges are wooded
            line = self._wooded(line, near)
        columns = self._width if self._still else period + self._width
        return np.resize(line, columns)

    def _wooded(self, line: _Line, near: float) -> _Line:
        """Stand pines on a ridge: each a narrow triangle with ragged sides."""
        period = line.size
        tall = min(self._width, self._height) * (0.05 + 0.07 * near)
        x = np.arange(period, dtype=np.float32)
        at = 0.0
        tops = line.copy()
        while at < period:
            height = tall * self._random.uniform(0.5, 1.0)
            half = height * 0.22
            columns = (np.arange(int(at - half), int(at + half) + 1)) % period
            away = np.abs(x[columns] - at)
            away = np.minimum(away, period - away)
            ragged = 1 - away / half + 0.12 * np.cos(away / half * 14)
            foot = line[int(at) % period]
            tops[columns] = np.minimum(tops[columns], foot + tall * 0.1 - height * np.clip(ragged, 0, 1))
            at += half * self._random.uniform(0.7, 2.6)
        return tops


def _gradient(stops: Sequence[Rgb], width: int, height: int) -> Image.Image:
    """Colours from the first stop at the top to the last at the bottom: one column, then copied across."""
    colours = [[mixed(stops, row / max(1, height - 1))] for row in range(height)]
    return Image.fromarray(np.array(colours, np.uint8)).resize((width, height), Image.Resampling.NEAREST)
