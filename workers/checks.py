"""What a provider made is looked into before it is delivered: nobody pays for what does not open (R9)."""

from __future__ import annotations

import hashlib

from gateway.domain import MediaKind
from gateway.errors import MediaUnreadable, ProviderFailed
from gateway.media import Media, look
from workers.providers import Rendered


def checked(rendered: Rendered, asked: MediaKind | None) -> tuple[Media, str]:
    """What an output is, and its SHA-256. Blocking: both in the same thread, for one hop costs as much as a small PNG.

    ProviderFailed, so worth another attempt, if it does not decode whole, is of no type that is served, or not of the
    kind asked for (None: either will do).
    """
    try:
        media = look(rendered.data)
    except MediaUnreadable as error:
        raise ProviderFailed(f"output {rendered.index}, of {len(rendered.data):,} bytes, {error}") from None
    if asked not in {None, media.kind}:
        raise ProviderFailed(f"output {rendered.index} is {media.content_type}; asked for was the kind {asked}")
    return media, hashlib.sha256(rendered.data).hexdigest()
