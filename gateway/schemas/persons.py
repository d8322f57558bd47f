"""Erasure and export of an account's person."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateway.schemas.base import Answer


class ErasureOut(Answer):
    """How far an erasure has come."""

    object: Literal["erasure"]
    account: str
    done: bool = Field(description="Whether everything is erased. If not, call again: it continues.")
    open: int = Field(description="Generations that have been cancelled, but have not ended yet.")
