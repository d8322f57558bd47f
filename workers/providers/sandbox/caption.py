"""The caption in the picture: the word sandbox, the model and the prompt.

Nobody should mistake a sandbox picture for the model's work, so the caption is drawn at every size.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from workers.providers.sandbox.palette import Rgb

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_PROMPT_SHOWN = 600  # characters measured; three lines hold far fewer, and a prompt may be a megabyte
_LINES_MAX = 3
_CARD = (12, 12, 18, 176)
_WHITE = (255, 255, 255, 255)
_FAINT = (255, 255, 255, 165)
_FOOTNOTE = "Rendered by Farebox to test with, not by this model"


class Caption:
    """A translucent card for a picture of this size; `draw` puts it at the lower left."""

    def __init__(self, width: int, height: int, model: str, prompt: str, accent: Rgb) -> None:
        """Draw the card once; it is the same in every frame."""
        self._unit = max(6.0, min(width, height) * 0.017)  # half a line of the prompt's font
        unit = self._unit
        margin = round(unit * 1.6)
        inner = min(width - 2 * margin, round(max(unit * 42, width * 0.5))) - round(unit * 2.8)
        prompt_font, small_font = _font(round(unit * 1.9)), _font(round(unit * 1.3))
        room = int((height * 0.6 - unit * 5) / (unit * 2.5))
        lines = wrapped(printable(prompt), prompt_font, inner, max(1, min(_LINES_MAX, room)))
        model = wrapped(printable(model), small_font, max(1, inner - round(unit * 9)), 1)[0]
        footnote = wrapped(_FOOTNOTE, small_font, inner, 1)[0] if room > _LINES_MAX else ""
        card_height = round(unit * (4.7 + 2.5 * len(lines) + (2.4 if footnote else 0)))
        self._card = Image.new("RGBA", (inner + round(unit * 2.8), card_height), (0, 0, 0, 0))
        self._at = (margin, max(0, height - margin - card_height))
        draw = ImageDraw.Draw(self._card)
        draw.rounded_rectangle((0, 0, self._card.width - 1, card_height - 1), radius=unit, fill=_CARD)
        left, top = unit * 1.4, unit * 1.2
        chip = small_font.getlength("SANDBOX") + unit * 1.4
        draw.rounded_rectangle((left, top, left + chip, top + unit * 2.2), radius=unit * 0.6, fill=(*accent, 255))
        middle = top + unit * 1.1
        draw.text((left + chip / 2, middle), "SANDBOX", font=small_font, fill=(20, 18, 28, 255), anchor="mm")
        draw.text((left + chip + unit * 0.9, middle), model, font=small_font, fill=_WHITE, anchor="lm")
        top += unit * 3.1
        for line in lines:
            draw.text((left, top + unit * 1.25), line, font=prompt_font, fill=_WHITE, anchor="lm")
            top += unit * 2.5
        if footnote:
            draw.text((left, top + unit * 1.3), footnote, font=small_font, fill=_FAINT, anchor="lm")
        self._mask = self._card.getchannel("A")
        self._face = self._card.convert("RGB")
        self._accent = accent

    def draw(self, picture: Image.Image, elapsed: float | None = None) -> None:
        """Draw the card into `picture`; in a video with a progress bar at the bottom, full at `elapsed` = 1."""
        picture.paste(self._face, self._at, self._mask)
        if elapsed is not None:
            left, bottom = self._at[0] + round(self._unit), self._at[1] + self._card.height
            thick = max(2, round(self._unit * 0.28))
            length = round((self._card.width - 2 * round(self._unit)) * elapsed)
            picture.paste(self._accent, (left, bottom - thick, left + max(1, length), bottom))


def printable(text: str) -> str:
    """The drawable characters on one line: no control characters, surrogates or unassigned code points."""
    kept = (
        character if unicodedata.category(character)[0] != "C" else " "
        for character in unicodedata.normalize("NFC", text[:_PROMPT_SHOWN])
    )
    return " ".join("".join(kept).split())


def wrapped(text: str, font: _Font, width: float, lines_max: int) -> list[str]:
    """Break `text` into at most `lines_max` lines no wider than `width`; what does not fit ends in an ellipsis."""
    lines: list[str] = []
    rest = text
    while rest and len(lines) < lines_max:
        fits = _fitting(rest, font, width)
        if fits < len(rest) and len(lines) == lines_max - 1:
            fits = max(1, _fitting(rest, font, width - font.getlength("…")))
            lines.append(rest[:fits].rstrip() + "…")
            return lines
        space = rest.rfind(" ", 0, fits + 1) if fits < len(rest) else -1
        cut = space if space > 0 else fits
        lines.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return lines or [""]


def _fitting(text: str, font: _Font, width: float) -> int:
    """How many characters fit, at least one; by bisection, because measuring long texts is slow."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if font.getlength(text[:middle]) <= width:
            low = middle
        else:
            high = middle - 1
    return low


@lru_cache(maxsize=64)
def _font(size: int) -> _Font:
    return ImageFont.load_default(size)
