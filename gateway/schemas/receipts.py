"""Receipts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateway.domain import Bucket, State
from gateway.schemas.base import Answer, Credits, SettingsOut, Time
from gateway.schemas.generations import EntryOut, Failure
from gateway.schemas.prices import AtMost, Line
from gateway.schemas.tags import TagsOut


class ReceiptLine(Line):
    """A line of the price; of one that charges for what is reported, also how much was. All are in its `unit`."""

    held_for: Credits | None = Field(default=None, description="How much the credits were held for.")
    reported: Credits | None = Field(
        default=None,
        description="How much was reported of the delivered outputs; null if it was not, or not as an amount.",
    )
    charged: Credits | None = Field(
        default=None,
        description="How much of it was charged, at most the ceiling of each output; null while it is open.",
    )


class GrantShare(Answer):
    """A share of the price, and the grant it is paid from."""

    bucket: Bucket
    grant: str
    credits: Credits


class Difference(Answer):
    """A slight difference between an output and the request. Outputs that differ more are not delivered or charged."""

    output: int = Field(description="Its index.")
    message: str


class Receipt(Answer):
    """A generation's price in full: its lines, who paid, and every credit movement."""

    object: Literal["receipt"]
    generation: str
    account: str
    key: str | None = Field(description="The id of the API key that created it; null if an earlier version did.")
    member: str | None = Field(description="The id of the member whose key it was; null for the account's own keys.")
    status: State
    tool: str
    model: str
    settings: SettingsOut
    outputs_requested: int
    outputs_delivered: int
    credits: Credits = Field(description="The price.")
    at_most: AtMost = False
    lines: list[ReceiptLine]
    rate_card: str
    allocation: list[GrantShare]
    entries: list[EntryOut]
    held: Credits
    committed: Credits
    refunded: Credits
    differences: list[Difference] = Field(description="Outputs that differ slightly from what was requested.")
    error: Failure | None
    tags: TagsOut
    created_at: Time
    finished_at: Time | None
