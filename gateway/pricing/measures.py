"""What a price may depend on besides settings: the number of inputs, and measures of the inputs and the prompt.

A measure is a number that is not in the request. For an upload it is read from the file. For an `https:` or `data:`
URL it is unknown when the request is priced, so the card's maximum is charged.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

INPUT_IMAGES = "input_images"
INPUT_VIDEOS = "input_videos"
INPUT_AUDIOS = "input_audios"
COUNTED_KINDS: Mapping[str, str] = {INPUT_IMAGES: "image", INPUT_VIDEOS: "video", INPUT_AUDIOS: "audio"}
"""Each count, and the kind of input that it counts."""
INPUT_COUNTS = tuple(COUNTED_KINDS)
INPUTS_MAX = 16  # per request, all kinds together (docs/design.md, section 6)

INPUT_MEGAPIXELS = "input_megapixels"
"""The total of all input images: width × height ÷ 1,000,000."""
INPUT_VIDEO_SECONDS = "input_video_seconds"
"""The total of all input videos."""
INPUT_AUDIO_SECONDS = "input_audio_seconds"
"""The total of all input audio."""
MEASURED_COUNTS: Mapping[str, str] = {
    INPUT_MEGAPIXELS: INPUT_IMAGES,
    INPUT_VIDEO_SECONDS: INPUT_VIDEOS,
    INPUT_AUDIO_SECONDS: INPUT_AUDIOS,
}
"""Each measure of inputs, and the count of the inputs that it measures."""
PROMPT_CHARACTERS = "prompt_characters"
"""Unicode code points of the prompt, as Python and PostgreSQL count them."""
MEASURES = (*MEASURED_COUNTS, PROMPT_CHARACTERS)
PROMPT_MAX_CHARACTERS = 10_000

Measured = Mapping[str, Decimal]
"""Measure → its value; missing: unknown."""


def factors(number: str) -> tuple[str, ...]:
    """The names in a `credits_per` entry: one, or several for a product such as `duration * frame_rate`."""
    return tuple(part.strip() for part in number.split("*"))


def characters_written_out(model: Any) -> Any:
    """A model's table as read, with `characters` in its prices and costs as the measure that it is short for.

    It is the setting if the model has one of that name.
    """
    settings = model.get("settings", {}) if isinstance(model, dict) else None
    return model if not isinstance(settings, dict) or _SHORT in settings else _written_out(model)


_SHORT = "characters"
_NAMES_NUMBERS = frozenset({"credits_per", "amount_per", "round_up"})


def _written_out(table: Any) -> Any:
    if isinstance(table, list):
        return [_written_out(one) for one in table]
    if not isinstance(table, dict):
        return table
    return {
        name: _by_measure(value) if name in _NAMES_NUMBERS and isinstance(value, dict) else _written_out(value)
        for name, value in table.items()
    }


def _by_measure(amounts: dict[str, Any]) -> dict[str, Any]:
    """As it is if both names are in it: one of them is a mistake, and the check says which."""
    named = {_long(number): amount for number, amount in amounts.items()}
    return named if len(named) == len(amounts) else amounts


def _long(number: str) -> str:
    names = factors(number)
    if _SHORT not in names:
        return number
    return " * ".join(PROMPT_CHARACTERS if name == _SHORT else name for name in names)


def counted(count: str, number: object) -> str:
    """A number of inputs for a label: `1 input image`, `2 input videos`, `2 input audio files`."""
    kind = COUNTED_KINDS[count]
    one = f"{number} input {kind}{' file' if kind == 'audio' else ''}"
    return one if number == 1 else f"{one}s"


def describe(measure: str, amount: str) -> str:
    """A measured amount for a label: `12 s of input video`."""
    return {
        INPUT_MEGAPIXELS: f"{amount} megapixels of input",
        INPUT_VIDEO_SECONDS: f"{amount} s of input video",
        INPUT_AUDIO_SECONDS: f"{amount} s of input audio",
        PROMPT_CHARACTERS: f"{amount} characters of prompt",
    }[measure]
