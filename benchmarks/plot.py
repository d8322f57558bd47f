"""A plot as SVG, without a script.

Own code: pygal hooks itself into every import of the process, and matplotlib is 40 MB.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 760, 420, 70, 50, 340
_RIGHT = _WIDTH - 30
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#555", "#e69f00")  # told apart without red and green
_STEPS = 5
_KEYS_IN_A_ROW = 3


@dataclass(frozen=True, slots=True)
class Plot:
    """Lines over the same few sizes, which stand at equal distances: each is a multiple of the one before."""

    title: str
    of: str
    sizes: Sequence[int]
    lines: Mapping[str, Sequence[float]]

    @property
    def name(self) -> str:
        """The file."""
        return f"{self.of.replace(' ', '-')}.svg"

    def svg(self) -> str:
        """The plot; the vertical axis begins at 0."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
            f'font-size="13"><rect width="100%" height="100%" fill="white"/>{"".join(self._parts())}</svg>\n'
        )

    def _parts(self) -> Iterator[str]:
        yield _text(_WIDTH / 2, 24, self.title, "middle")
        yield _text(_WIDTH / 2, _BOTTOM + 38, self.of, "middle")
        top = _rounded_up(max(max(values) for values in self.lines.values()))
        for step in range(_STEPS + 1):
            y = _BOTTOM - (_BOTTOM - _TOP) * step / _STEPS
            yield f'<path d="M{_LEFT} {y:.1f}H{_RIGHT}" stroke="#ccc"/>'
            yield _text(_LEFT - 8, y + 4, f"{top * step / _STEPS:,g}", "end")
        xs = [_LEFT + (_RIGHT - _LEFT) * (index + 0.5) / len(self.sizes) for index in range(len(self.sizes))]
        for x, size in zip(xs, self.sizes, strict=True):
            yield _text(x, _BOTTOM + 18, f"{size:,}", "middle")
        for number, (name, values) in enumerate(self.lines.items()):
            yield from self._line(number, name, [(x, value / top) for x, value in zip(xs, values, strict=True)])

    def _line(self, number: int, name: str, points: Sequence[tuple[float, float]]) -> Iterator[str]:
        colour = _COLOURS[number % len(_COLOURS)]
        drawn = " ".join(f"{x:.1f},{_BOTTOM - (_BOTTOM - _TOP) * share:.1f}" for x, share in points)
        yield f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2.5"/>'
        x = _LEFT + number % _KEYS_IN_A_ROW * 230
        y = _BOTTOM + 58 + number // _KEYS_IN_A_ROW * 18
        yield f'<path d="M{x} {y - 4}h20" stroke="{colour}" stroke-width="4"/>{_text(x + 26, y, name, "start")}'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(words)}</text>'


def _rounded_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    power = 10.0 ** (len(str(int(value))) - 1)
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= value)
