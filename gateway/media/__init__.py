"""Inspects images, videos, audio and other files by their bytes: they are checked before anything relies on them.

Pillow and PyAV decode. They are imported at first use: a gateway starts without them, and most never need them.
"""

from gateway.media.fair import FairInspections, TimeUsedUp
from gateway.media.inspection import Media, inspect
from gateway.media.isolation import Readers
from gateway.media.openings import (
    CONVERTED,
    EXTENSIONS,
    OPENING_BYTES,
    STORED_EXTENSIONS,
    TEXT_TYPE,
    content_type_as,
    content_type_by_opening,
    converted_by_opening,
    kind_of,
)

__all__ = [
    "CONVERTED",
    "EXTENSIONS",
    "OPENING_BYTES",
    "STORED_EXTENSIONS",
    "TEXT_TYPE",
    "FairInspections",
    "Media",
    "Readers",
    "TimeUsedUp",
    "content_type_as",
    "content_type_by_opening",
    "converted_by_opening",
    "inspect",
    "kind_of",
]
