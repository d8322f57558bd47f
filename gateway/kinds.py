"""The kinds of things that tools make: images, videos, audio, text, files. The leaf of the import tree."""

from __future__ import annotations

from collections.abc import Container
from enum import StrEnum


class MediaKind(StrEnum):
    """The kind of an output. Inputs are images, videos and audio."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    TEXT = "text"
    FILE = "file"


MADE = {
    MediaKind.IMAGE: "images",
    MediaKind.VIDEO: "videos",
    MediaKind.AUDIO: "audio",
    MediaKind.TEXT: "text",
    MediaKind.FILE: "files",
}
"""What a tool of each kind makes, for sentences."""

_NAMED_TOOLS = frozenset(MediaKind) - {MediaKind.IMAGE}  # an image tool may have videos: models with a duration


def kind_asked(tool: str, settings: Container[str], output: MediaKind | None) -> MediaKind | None:
    """The kind of output requested: `output` if the tool names it, else by the tool's id or a duration.

    None if nothing tells.
    """
    if output is not None:
        return output
    if tool in _NAMED_TOOLS:
        return MediaKind(tool)
    if "duration" in settings:
        return MediaKind.VIDEO
    return MediaKind.IMAGE if tool == MediaKind.IMAGE else None
