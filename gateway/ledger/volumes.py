"""How many outputs of a model an account has ordered in a calendar month. `lua/lib/volumes.lua` counts them.

Months are those of the rate card's time zone, in account time.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from gateway.domain import LimitPeriod
from gateway.ledger.limits import period_start, today

if TYPE_CHECKING:
    from gateway.domain import Volume
    from gateway.ledger.outcomes import Account

_EPOCH = date(1970, 1, 1)


def encode_volume(volume: Volume, outputs: int) -> str:
    """`outputs,least,most`, with nothing for no limit."""
    return f"{outputs},{volume.least},{'' if volume.most is None else volume.most}"


def decode_volume(text: str) -> tuple[int, int]:
    """`<day>,<outputs>`: what was ordered in the month of that day (from 1970)."""
    day, outputs = text.split(",")
    return int(day), int(outputs)


def ordered_this_month(account: Account, model: str, timezone: str) -> int:
    """How many outputs of a model were ordered this month and are in work or delivered."""
    day, outputs = account.volumes.get(model, (0, 0))
    month = period_start(LimitPeriod.MONTHLY, today(account.now, timezone, account.day))
    return outputs if period_start(LimitPeriod.MONTHLY, _EPOCH + timedelta(days=day)) == month else 0
