"""The base of all tables of the rate card."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """A table of the file: frozen, and unknown fields are rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def replaced(self, **fields: object) -> Self:
        """A copy with other fields. What is derived from fields is derived again, which `model_copy` does not do."""
        copy = self.model_copy(update=fields)
        for derived in copy.__dict__.keys() - type(self).model_fields.keys():
            del copy.__dict__[derived]
        return copy
