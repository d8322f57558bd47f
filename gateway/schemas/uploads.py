"""Uploads."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateway.domain import MediaKind
from gateway.schemas.base import Answer, Credits, Time


class UploadOut(Answer):
    """An upload. Pass its `url` as the `url` of an input; it is valid for this account until `expires_at`."""

    id: str
    object: Literal["upload"]
    url: str = Field(description="The same as `id`; starts with `upload:`.")
    kind: MediaKind
    content_type: str
    bytes: int
    width: int
    height: int
    duration_seconds: Credits | None = Field(default=None, description="Videos only.")
    sha256: str
    expires_at: Time
