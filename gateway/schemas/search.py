"""Support's search."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.schemas.base import Answer, Query, Text


class SearchQuery(Query):
    """What to look for."""

    q: Annotated[
        Text,
        Field(
            min_length=1,
            max_length=254,
            examples=["ada@example.com"],
            description=(
                "A whole account id, email (without case), or id of a key, generation or checkout. Never an API key "
                "itself: URLs are logged."
            ),
        ),
    ]


class Found(Answer):
    """Something with this id or email."""

    kind: Literal["account", "email", "key", "generation", "checkout"]
    id: str
    account: str | None = Field(description="The account it belongs to; null for an operator's key.")


class SearchOut(Answer):
    """What was found; usually one, and empty if there is nothing."""

    data: list[Found]
