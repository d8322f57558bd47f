"""Price lists that begin at a date: `[[models.<id>.prices]]` with `valid_from`, in the card's time zone.

All of them are checked when the card is loaded, not on the day. Which one counts for a request is decided by the
account's time (`lua/reserve.lua`), so that all gateways change at the same instant.
"""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, PlainValidator

from gateway.pricing.fields import as_tuple
from gateway.pricing.rates import AddOn, Rate
from gateway.pricing.table import Table


def _valid_from(value: object) -> datetime:
    """A TOML date, local time, or time with an offset; a date is its midnight."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time.min)
    msg = "must be a date or a time without quotes, such as 2026-12-01 or 2026-12-01T09:00:00"
    raise ValueError(msg)


class DatedPrices(Table):
    """`[[models.<id>.prices]]`: what replaces the model's rates and add-ons from `valid_from` on."""

    valid_from: Annotated[datetime, PlainValidator(_valid_from)]
    rates: Annotated[tuple[Rate, ...], BeforeValidator(as_tuple), Field(min_length=1)]
    add_ons: Annotated[tuple[AddOn, ...], BeforeValidator(as_tuple)] = ()

    def begins_at(self, timezone: str) -> int:
        """When it begins (ms); ValueError if that local time does not occur exactly once in the time zone."""
        at = self.valid_from if self.valid_from.tzinfo else self.valid_from.replace(tzinfo=ZoneInfo(timezone))
        if at.utcoffset() != at.replace(fold=1).utcoffset():
            msg = (
                f"is when clocks in {timezone} change, and does not occur exactly once: write its offset, as in "
                f"{at.isoformat()}"
            )
            raise ValueError(msg)
        return round(at.timestamp() * 1000)
