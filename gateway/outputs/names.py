"""Object keys.

`outputs/<pp>/<generation>/<attempt>-<index>.<ext>`: <pp>, the generation's partition, keeps directories small; the
attempt keeps a stale worker from overwriting anything. `inputs/<pp>/<generation>/<request>-<n>.<ext>`: the bytes of an
input; <request> is new for each request, so that a refused one deletes only its own.
`uploads/<hour>/<id>-<bytes>-<width>x<height>[-<milliseconds>].<ext>`: an upload, with the hour (UTC) at whose start it
expires, so that expired ones are listed together, and its measures, so that it need not be inspected again; audio has
0x0. Keys that do not match one of these forms exactly are refused, so none can lead out of the store.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from gateway.domain import GENERATION_PATTERN, partition_of_generation
from gateway.media import STORED_EXTENSIONS, Media

UPLOADS = "uploads/"
_HOUR = "%Y%m%d%H"
_CONTENT_TYPES = {extension: content_type for content_type, extension in STORED_EXTENSIONS.items()}

_GENERATION = GENERATION_PATTERN.strip("^$")
_EXTENSION = rf"\.({'|'.join(STORED_EXTENSIONS.values())})"
# Uploads of versions whose names had no measures: these expire within a day.
UPLOAD_PATTERN = r"\d{10}/[a-z2-7]{24}-\d{1,10}(?:-\d{1,6}x\d{1,6}(?:-\d{1,10})?)?\.[a-z0-9]{3,4}"
_MEASURES = re.compile(r"-(\d+)x(\d+)(?:-(\d+))?\.", re.ASCII)
_KEY = re.compile(
    rf"outputs/[0-9a-f]{{2}}/{_GENERATION}/\d{{1,9}}-\d{{1,4}}{_EXTENSION}|"
    rf"inputs/[0-9a-f]{{2}}/{_GENERATION}/[0-9a-f]{{8}}-\d{{1,4}}{_EXTENSION}|"
    rf"uploads/(?={UPLOAD_PATTERN}\Z).*{_EXTENSION}",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class UploadMeasures:
    """An upload's measures. `seconds` is None for an image, `pixels` are 0 for audio."""

    pixels: int
    seconds: Decimal | None


def output_key(generation: str, attempt: int, index: int, content_type: str) -> str:
    """The object key of one output of one attempt; ValueError for a content type that is not on the list."""
    return checked(f"{_folder('outputs', generation)}{attempt}-{index}.{_extension(content_type)}")


def attempt_of(object_key: str) -> int:
    """The attempt that made an output, by its object key."""
    return int(checked(object_key).rpartition("/")[2].partition("-")[0])


def generation_of(object_key: str) -> str:
    """The generation that an output or an input belongs to, by its object key; ValueError if it is neither."""
    kind, *_, generation, _ = checked(object_key).split("/")
    if f"{kind}/" == UPLOADS:
        raise ValueError(f"{object_key!r} is of no generation")
    return generation


def input_key(generation: str, request: str, number: int, content_type: str) -> str:
    """The object key of a generation's input `number`; `request` is eight hexadecimal digits, new for each request."""
    return checked(f"{_folder('inputs', generation)}{request}-{number}.{_extension(content_type)}")


def upload_key(expires_at: int, upload: str, size: int, media: Media) -> str:
    """The object key of an upload of `size` bytes that expires at a full hour, in seconds since the epoch."""
    measures = f"{media.width or 0}x{media.height or 0}"
    if media.duration_seconds is not None:
        measures += f"-{round(media.duration_seconds * 1000)}"
    return checked(f"{UPLOADS}{hour(expires_at)}/{upload}-{size}-{measures}.{_extension(media.content_type)}")


def upload_size(object_key: str) -> int:
    """An upload's size in bytes."""
    return int(re.split(r"[-.]", checked(object_key))[1])


def upload_measures(object_key: str) -> UploadMeasures | None:
    """An upload's measures; None if it is from before they were stored."""
    found = _MEASURES.search(checked(object_key))
    if found is None:
        return None
    width, height, milliseconds = found.groups()
    seconds = None if milliseconds is None else Decimal(milliseconds) / 1000
    return UploadMeasures(int(width) * int(height), seconds)


def upload_expires_at(object_key: str) -> int:
    """When an upload expires, in seconds since the epoch; ValueError if the key is not an upload's."""
    written = checked(object_key).removeprefix(UPLOADS).partition("/")[0]
    return int(datetime.strptime(written, _HOUR).replace(tzinfo=UTC).timestamp())


def hour(seconds: float) -> str:
    """The hour of a time, as in the keys of uploads, which sort chronologically."""
    return datetime.fromtimestamp(seconds, UTC).strftime(_HOUR)


def folders(generation: str) -> tuple[str, str]:
    """The prefixes of a generation's outputs and inputs."""
    return _folder("outputs", generation), _folder("inputs", generation)


def checked(object_key: str) -> str:
    """The key itself; ValueError unless it has one of this module's forms."""
    if not _KEY.fullmatch(object_key):
        raise ValueError(f"{object_key!r} is not an object key")
    return object_key


def content_type_of(object_key: str) -> str:
    """The content type of a key's extension."""
    return _CONTENT_TYPES[checked(object_key).rpartition(".")[2]]


def _folder(kind: str, generation: str) -> str:
    return f"{kind}/{partition_of_generation(generation):02x}/{generation}/"


def _extension(content_type: str) -> str:
    if content_type not in STORED_EXTENSIONS:
        raise ValueError(f"{content_type!r} cannot be stored; supported: {', '.join(STORED_EXTENSIONS)}")
    return STORED_EXTENSIONS[content_type]
