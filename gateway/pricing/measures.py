"""What a price may depend on beside settings: how many inputs there are, and what is measured of them and the prompt.

A measure is a number that the request does not state. Of an upload it is read from the file; of an `https:` or `data:`
URL nobody knows it before the provider does, so it counts as the most that the card allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

INPUT_IMAGES = "input_images"
INPUT_VIDEOS = "input_videos"
INPUT_COUNTS = (INPUT_IMAGES, INPUT_VIDEOS)
INPUTS_MAX = 16  # of one request, both kinds together (docs/design.md, section 6)

INPUT_MEGAPIXELS = "input_megapixels"
"""Of all input images together: width × height ÷ 1,000,000."""
INPUT_VIDEO_SECONDS = "input_video_seconds"
"""Of all input videos together."""
PROMPT_CHARACTERS = "prompt_characters"
"""Unicode code points of the prompt, as Python and PostgreSQL count them."""
MEASURES = (INPUT_MEGAPIXELS, INPUT_VIDEO_SECONDS, PROMPT_CHARACTERS)
PROMPT_MAX_CHARACTERS = 10_000

Measured = Mapping[str, Decimal]
"""Measure → what was measured; one that is missing is not known."""


def factors(number: str) -> tuple[str, ...]:
    """The names in a `credits_per` entry: one, or several where it is a product such as `duration * frame_rate`."""
    return tuple(part.strip() for part in number.split("*"))


def describe(measure: str, amount: str) -> str:
    """An amount of what is measured, as it stands in a label: `12 s of input video`."""
    return {
        INPUT_MEGAPIXELS: f"{amount} megapixels of input",
        INPUT_VIDEO_SECONDS: f"{amount} s of input video",
        PROMPT_CHARACTERS: f"{amount} characters of prompt",
    }[measure]
