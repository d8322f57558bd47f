"""What a price may depend on besides settings: the number of inputs, and measures of the inputs and the prompt.

A measure is a number that is not in the request. For an upload it is read from the file. For an `https:` or `data:`
URL it is unknown when the request is priced, so the card's maximum is charged.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

INPUT_IMAGES = "input_images"
INPUT_VIDEOS = "input_videos"
INPUT_COUNTS = (INPUT_IMAGES, INPUT_VIDEOS)
INPUTS_MAX = 16  # per request, both kinds together (docs/design.md, section 6)

INPUT_MEGAPIXELS = "input_megapixels"
"""The total of all input images: width × height ÷ 1,000,000."""
INPUT_VIDEO_SECONDS = "input_video_seconds"
"""The total of all input videos."""
PROMPT_CHARACTERS = "prompt_characters"
"""Unicode code points of the prompt, as Python and PostgreSQL count them."""
MEASURES = (INPUT_MEGAPIXELS, INPUT_VIDEO_SECONDS, PROMPT_CHARACTERS)
PROMPT_MAX_CHARACTERS = 10_000

Measured = Mapping[str, Decimal]
"""Measure → its value; missing: unknown."""


def factors(number: str) -> tuple[str, ...]:
    """The names in a `credits_per` entry: one, or several for a product such as `duration * frame_rate`."""
    return tuple(part.strip() for part in number.split("*"))


def describe(measure: str, amount: str) -> str:
    """A measured amount for a label: `12 s of input video`."""
    return {
        INPUT_MEGAPIXELS: f"{amount} megapixels of input",
        INPUT_VIDEO_SECONDS: f"{amount} s of input video",
        PROMPT_CHARACTERS: f"{amount} characters of prompt",
    }[measure]
