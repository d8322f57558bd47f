"""The types of the rate card's fields: how credits, money, durations and times of day are written in TOML.

Each rejects a wrong value with a sentence about what is accepted. Granted credits become integer millicredits and
durations integer milliseconds; prices become exact Decimals of millicredits. No other code sees floats or bare units.
"""

from __future__ import annotations

import re
import zoneinfo
from decimal import ROUND_CEILING, Decimal
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, StrictBool, StrictInt, StringConstraints

from gateway.domain import AMOUNT_MAX_MILLICREDITS, MILLICREDITS_PER_CREDIT, SettingValue, credits_to_millicredits
from gateway.pricing.values import canonical, did_you_mean, kind_of, show

ID_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
SETTING_PATTERN = r"^[a-z][a-z0-9_]{0,63}$"

_DURATION = re.compile(r"(\d{1,9})(ms|s|m|h|d)", re.ASCII)
_UNIT_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION_MAX_MS = 3650 * _UNIT_MS["d"]
_TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_LEAST_SHARE = re.compile(r"(?:≥|>=) *(0(?:\.\d{1,4})?|1(?:\.0{1,4})?)")
_CREDITS_MAX = AMOUNT_MAX_MILLICREDITS // MILLICREDITS_PER_CREDIT
_MILLICREDIT = Decimal("0.001")
_MONEY_MAX = 10_000_000
THOUSANDTHS = 1000
"""Costs are calculated in thousandths of the currency, as prices are in thousandths of a credit."""
_CENT_EXPONENT = -2
_FACTOR_MAX = 1000
FACTOR_DECIMALS_MAX = 6
UNITS_MAX = 10_000_000
"""The highest ceiling of a reported unit, per output."""
_UNIT_DECIMALS_MAX = 6


def _number(value: object, example: str) -> Decimal:
    """An exact, bounded number. Text and flags are rejected, even where Python would convert them."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        given = f", not the text {show(value)}" if isinstance(value, str) else ""
        msg = f"must be a number such as {example}{given}"
        raise ValueError(msg)  # noqa: TRY004 - pydantic reports a ValueError and passes a TypeError through
    return Decimal(canonical(value))


def _exact_credits(value: object) -> Decimal:
    """Credits as exact millicredits, with fractions: only a request's total is rounded."""
    number = _number(value, "49 or 73.5")
    if abs(number) > _CREDITS_MAX:
        msg = f"must be at most {_CREDITS_MAX:,} credits"
        raise ValueError(msg)
    return number * MILLICREDITS_PER_CREDIT


def _not_negative(millicredits: Decimal) -> Decimal:
    if millicredits < 0:
        msg = "must not be negative"
        raise ValueError(msg)
    return millicredits


def _more_than_nothing(millicredits: Decimal) -> Decimal:
    if millicredits <= 0:
        msg = "must be greater than 0"
        raise ValueError(msg)
    return millicredits


def _credits(value: object) -> int:
    """Granted credits: whole millicredits. The hint rounds up, so that nobody gets less than intended."""
    number = _not_negative(_exact_credits(value)) / MILLICREDITS_PER_CREDIT
    try:
        return credits_to_millicredits(number)
    except ValueError:
        rounded = number.quantize(_MILLICREDIT, ROUND_CEILING)
        msg = f"is {number:f}, but granted credits have at most three decimals: write {rounded:f}"
        raise ValueError(msg) from None


def _exact_money(value: object) -> Decimal:
    """Money as exact thousandths of the currency, with fractions: only what an output cost in the end is rounded."""
    number = _number(value, "0.04")
    if abs(number) > _MONEY_MAX:
        msg = f"must be at most {_MONEY_MAX:,}"
        raise ValueError(msg)
    return number * THOUSANDTHS


def _money(value: object) -> Decimal:
    number = _number(value, "30 or 76.50")
    if not 0 <= number <= _MONEY_MAX:
        msg = f"must be between 0 and {_MONEY_MAX:,}"
        raise ValueError(msg)
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < _CENT_EXPONENT:
        msg = f"is {number:f}, but prices have at most two decimals"
        raise ValueError(msg)
    return number.quantize(Decimal("0.01"))


def _duration(value: object) -> int:
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        msg = 'must be a duration in quotes such as "30s", "10m", "24h" or "1d"'
        raise ValueError(msg)
    duration_ms = int(match[1]) * _UNIT_MS[match[2]]
    if duration_ms > _DURATION_MAX_MS:
        msg = "must be at most ten years (3650d)"
        raise ValueError(msg)
    return duration_ms


def _longer_than_nothing(duration_ms: int) -> int:
    if duration_ms == 0:
        msg = "must be longer than zero"
        raise ValueError(msg)
    return duration_ms


def _time_of_day(value: object) -> int:
    match = _TIME_OF_DAY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        msg = 'must be a time of day in quotes from "00:00" to "23:59"'
        raise ValueError(msg)
    return int(match[1]) * _UNIT_MS["h"] + int(match[2]) * _UNIT_MS["m"]


def _zone(value: object) -> str:
    if not isinstance(value, str) or not value:
        msg = 'must be a time zone in quotes such as "UTC" or "Europe/Berlin"'
        raise ValueError(msg)
    try:
        zoneinfo.ZoneInfo(value)
    except (ValueError, KeyError, OSError):
        hint = did_you_mean(value, zoneinfo.available_timezones()) or "; use a name such as Europe/Berlin"
        msg = f"is {show(value)}, which is not a time zone{hint}"
        raise ValueError(msg) from None
    return value


def _exact(value: object) -> Decimal:
    return _number(value, "1 or 0.5")


def _above_zero(value: object) -> Decimal:
    number = _exact(value)
    if number <= 0:
        msg = "must be greater than 0"
        raise ValueError(msg)
    return number


def _unit_count(value: object) -> Decimal:
    """A number of reported units, in whole millionths: scripts add them up exactly."""
    return _between(value, "30 or 2.5", UNITS_MAX, _UNIT_DECIMALS_MAX)


def _factor(value: object) -> Decimal:
    return _between(value, "1.5", _FACTOR_MAX, FACTOR_DECIMALS_MAX)


def _share(value: object) -> Decimal:
    return _between(value, "0.8", 1, FACTOR_DECIMALS_MAX)


def _between(value: object, example: str, most: int, decimals: int) -> Decimal:
    """A number from 0 to `most`."""
    number = _number(value, example)
    exponent = number.as_tuple().exponent
    if not 0 <= number <= most or not isinstance(exponent, int) or exponent < -decimals:
        msg = f"must be between 0 and {most:,}, with at most {decimals} decimals"
        raise ValueError(msg)
    return number


def _least_share(value: object) -> Decimal:
    """`"≥ 0.95"` of the requested value; `"off"` checks nothing."""
    if value == "off":
        return Decimal(0)
    match = _LEAST_SHARE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        msg = 'must be the minimum share of the requested value, such as "≥ 0.95" (or ">= 0.95"), or "off"'
        raise ValueError(msg)
    return Decimal(match[1])


def as_tuple(value: object) -> object:
    """Convert a TOML array to a tuple, because the card is frozen."""
    return tuple(value) if isinstance(value, list) else value


def as_list(value: object) -> object:
    """Accept one table where there may be several."""
    return as_tuple([value] if isinstance(value, dict) else value)


def _value_or_list(value: object) -> object:
    """Accept `when = { resolution = "2K" }` as well as `… = ["1K", "2K"]`."""
    return tuple(value) if isinstance(value, list) else (value,)


def _distinct(values: tuple[SettingValue, ...]) -> tuple[SettingValue, ...]:
    if not values:
        msg = "must list at least one value"
        raise ValueError(msg)
    seen = set()
    for value in values:
        if (kind_of(value), value) in seen:
            msg = f"lists {show(value)} twice"
            raise ValueError(msg)
        seen.add((kind_of(value), value))
    return values


Credits = Annotated[int, BeforeValidator(_credits)]
ExactCredits = Annotated[Decimal, AfterValidator(_not_negative), BeforeValidator(_exact_credits)]
"""A price in exact millicredits, possibly with a fraction."""
PositiveCredits = Annotated[Decimal, AfterValidator(_more_than_nothing), BeforeValidator(_exact_credits)]
SignedCredits = Annotated[Decimal, BeforeValidator(_exact_credits)]
Money = Annotated[Decimal, BeforeValidator(_money)]
ExactMoney = Annotated[Decimal, AfterValidator(_not_negative), BeforeValidator(_exact_money)]
"""Money in exact thousandths of the currency, possibly with a fraction."""
PositiveMoney = Annotated[Decimal, AfterValidator(_more_than_nothing), BeforeValidator(_exact_money)]
SignedMoney = Annotated[Decimal, BeforeValidator(_exact_money)]
DurationMs = Annotated[int, BeforeValidator(_duration)]
PositiveDurationMs = Annotated[int, AfterValidator(_longer_than_nothing), BeforeValidator(_duration)]
TimeOfDayMs = Annotated[int, BeforeValidator(_time_of_day)]
Zone = Annotated[str, BeforeValidator(_zone)]
Exact = Annotated[Decimal, BeforeValidator(_exact)]
Positive = Annotated[Decimal, BeforeValidator(_above_zero)]
Factor = Annotated[Decimal, BeforeValidator(_factor)]
Share = Annotated[Decimal, BeforeValidator(_share)]
"""What is paid of a price: 0.8 is a fifth off."""
UnitCount = Annotated[Decimal, BeforeValidator(_unit_count)]
LeastShare = Annotated[Decimal, BeforeValidator(_least_share)]
Flag = StrictBool
Whole = StrictInt
Count = Annotated[StrictInt, Field(ge=1, le=1_000_000)]
Text = Annotated[str, Field(strict=True), StringConstraints(min_length=1, max_length=500)]
Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
SettingName = Annotated[str, StringConstraints(pattern=SETTING_PATTERN)]
Value = Annotated[SettingValue, PlainValidator(canonical)]
Values = Annotated[tuple[Value, ...], AfterValidator(_distinct), BeforeValidator(as_tuple)]
ValueOrValues = Annotated[tuple[Value, ...], AfterValidator(_distinct), BeforeValidator(_value_or_list)]
