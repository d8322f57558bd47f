"""Members of an account (R25): who they are, what they may do, and what they may spend."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.domain import MEMBER_PATTERN, Role
from gateway.schemas.base import Answer, Body, Email, Text, Time
from gateway.schemas.limits import LimitIn, LimitOut, Spending

MemberId = Annotated[str, Field(pattern=MEMBER_PATTERN, examples=["mem_5z2k7qv3h6wnb4xj7dtm6aec"])]
Name = Annotated[Text, Field(min_length=1, max_length=100, examples=["Ada Lovelace"])]


class MemberIn(Body):
    """A new member of an account."""

    name: Name
    email: Email | None = None
    role: Annotated[Role, Field(description="Default: `owner` for the first member, else `member`.")] | None = None
    limit: Annotated[LimitIn, Field(description="For all of their keys together. Default: none.")] | None = None


class MemberChangeIn(Body):
    """The fields to change; those omitted are left unchanged. Null removes an email or a limit."""

    name: Annotated[Name, Field(description="Null leaves it unchanged.")] | None = None
    email: Email | None = None
    role: (
        Annotated[Role, Field(description="Null leaves it unchanged. Ownership is handed over by a call of its own.")]
        | None
    ) = None
    limit: (
        Annotated[
            LimitIn,
            Field(description="What they have spent in the period so far counts. Null removes the limit."),
        ]
        | None
    ) = None


class MemberOut(Answer):
    """A member of an account."""

    id: str
    object: Literal["member"]
    name: str
    email: str | None
    role: Role
    created_at: Time
    removed_at: Time | None = Field(description="Null for current members.")
    limit: LimitOut | None = Field(description="What all of their keys together may spend; null: no limit.")


class MemberSpending(MemberOut, Spending):
    """A member, and what they have spent."""


class MembersOut(Answer):
    """An account's members, oldest first, former ones among them."""

    data: list[MemberSpending]
    seats: int | None = Field(description="How many members the plan has room for; null: any number.")
    seats_used: int = Field(description="The number of current members.")
