"""The base of all tables of the rate card."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """A table of the file: frozen, and unknown fields are rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid")
