"""Uploads."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateway.schemas.base import Answer, Credits, Time
from gateway.schemas.generations import InputKind


class UploadOut(Answer):
    """An upload. Pass its `url` as the `url` of an input; it is valid for this account until `expires_at`."""

    id: str
    object: Literal["upload"]
    url: str = Field(description="The same as `id`; starts with `upload:`.")
    kind: InputKind
    content_type: str
    bytes: int
    width: int | None = Field(default=None, description="Images and videos only.")
    height: int | None = None
    duration_seconds: Credits | None = Field(default=None, description="Videos and audio only.")
    sha256: str
    expires_at: Time
