"""Client tokens: for browsers and phones."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.schemas.base import WHOLE, AmountIn, Answer, Body, Credits, Time, amount_schema
from gateway.schemas.limits import Names

LIFETIME_MAX_SECONDS = 3600


class TokenIn(Body):
    """What the token may be used for. It is never more than the key that creates it may do."""

    credits: Annotated[
        AmountIn,
        Field(gt=0, description="How many credits it may spend in all. Its key's limits and the balance apply too."),
        amount_schema(exclusiveMinimum=0),
    ]
    tools: (
        Annotated[Names, Field(description="The only tools it may be used for. Default: those of its key.")] | None
    ) = None
    models: (
        Annotated[Names, Field(description="The only models it may be used for. Default: those of its key.")] | None
    ) = None
    expires_in_seconds: Annotated[
        int, Field(ge=1, le=LIFETIME_MAX_SECONDS, description="How long it is valid. Default: an hour."), WHOLE
    ] = LIFETIME_MAX_SECONDS


class TokenOut(Answer):
    """A client token. `token` is only included in the response that created it."""

    id: str
    object: Literal["token"]
    token: str | None = Field(default=None, description="The token itself. Shown only once.")
    account: str
    key: str = Field(description="The id of the API key that created it. When that is revoked, the token ends.")
    member: str | None
    credits: Credits
    tools: list[str] | None = Field(description="Null: all.")
    models: list[str] | None = Field(description="Null: all.")
    expires_at: Time
