"""What every table of the rate card has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """A table of the file: unknown fields are refused, and nothing changes after reading."""

    model_config = ConfigDict(frozen=True, extra="forbid")
