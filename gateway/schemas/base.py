"""What all shapes share: strict bodies, amounts as numbers of credits, times as RFC 3339.

Each shape is compiled at first use: compiling all at the start would make it a tenth longer.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, overload

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from typing_extensions import TypeAliasType

from gateway.domain import ACCOUNT_PATTERN, AMOUNT_MAX_MILLICREDITS, SettingValue, millicredits_to_credits
from gateway.pricing.values import NUMBER_MAX, TEXT_MAX, canonical

CREDITS_MAX = millicredits_to_credits(AMOUNT_MAX_MILLICREDITS)
FACTOR_DECIMALS_MAX = 6
"""Of what an account pays of a price, as on the rate card."""
CREDIT_DECIMALS_MAX = 3
FLOAT_NOISE = Decimal("1e-9")
"""How far an amount may be from three decimals: clients add up in floats, where 73.5 × 3 may be 220.49999999999997."""
METADATA_MAX_BYTES = 16 * 1024
PAGE_MAX = 100
# In JSON Schema's syntax. JSON with lone surrogates is rejected before.
UNSAFE_IN_JSON_SCHEMA = r"\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
LINE_PATTERN = rf"^[^{UNSAFE_IN_JSON_SCHEMA}]*$"
FREE_TEXT_PATTERN = r"^[^\u0000]*$"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]", re.ASCII)
_WHOLE = re.compile(r"-?[0-9]{1,1000}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_THOUSAND = 1000

# A response that does not validate is a bug, and is logged with its traceback: without its input, which has the prompt.
_COMMON = ConfigDict(extra="forbid", frozen=True, defer_build=True, hide_input_in_errors=True)


Text = Annotated[str, Field(pattern=LINE_PATTERN)]
"""A text in a request: a name, a reason and the like, without control or direction characters.

They are shown in lists, logs and terminals, where such characters do things. `tests/api/test_odd_texts.py` sends them
in every text of every request.
"""

EMAIL_PATTERN = rf"^[^@\s{UNSAFE_IN_JSON_SCHEMA}]{{1,64}}@[^@\s{UNSAFE_IN_JSON_SCHEMA}]{{1,189}}$"
Email = Annotated[str, Field(pattern=EMAIL_PATTERN, max_length=254, examples=["ada@example.com"])]
FreeText = Annotated[str, Field(pattern=FREE_TEXT_PATTERN)]
"""A text that is no such name: it may have all but NUL, at which many programs take a text to end."""


class Body(BaseModel):
    """A request's body: unknown members are rejected, and types are not converted."""

    model_config = ConfigDict(**_COMMON, strict=True)


class Query(BaseModel):
    """A request's query: unknown parameters are rejected."""

    model_config = _COMMON


class Answer(BaseModel):
    """A response's body. A member that was not set is omitted; one that was set to None is `null`.

    A response has exactly the members of its shape, but its description allows others, which later versions may add.
    """

    model_config = _COMMON

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe it as open to further members."""
        described = handler(core)
        handler.resolve_ref_schema(described).pop("additionalProperties", None)
        return described

    def json_text(self) -> str:
        """The answer as JSON."""
        return self.model_dump_json(exclude_unset=True)


@overload
def utc(milliseconds: int) -> str: ...


@overload
def utc(milliseconds: int | None) -> str | None: ...


def utc(milliseconds: int | None) -> str | None:
    """A time as RFC 3339 in UTC, always with milliseconds: `2026-11-22T17:00:00.000Z`; None for none."""
    if milliseconds is None:
        return None
    seconds, rest = divmod(milliseconds, _THOUSAND)
    return f"{_second(seconds)}.{rest:03}Z"


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    """Times of one moment are often written together, and a date costs ten times the rest."""
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]


def to_milliseconds(moment: datetime) -> int:
    """A time in milliseconds since the epoch, rounded down."""
    return (moment - _EPOCH) // _MILLISECOND


def exact_decimal(number: float) -> Decimal:
    """The decimal written in the JSON: the shortest one that parses to this float."""
    return Decimal(repr(number))


def as_number(amount: Decimal) -> int | float:
    """A decimal as a JSON number: whole ones without a point, others with the fewest digits (73.5, not 73.500)."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def of_thousandths(thousandths: int) -> int | float:
    """Thousandths as a JSON number, such as millicredits as credits: 73500 → 73.5, 49000 → 49."""
    whole, rest = divmod(thousandths, _THOUSAND)
    return thousandths / _THOUSAND if rest else whole


def given_number(number: Any, wanted: str) -> Decimal:
    """A number in a request, exactly; ValueError, with what is expected, for anything else.

    Rejected are: a flag, which equals 1 in Python; text; NaN and infinity; and `-0.0`.
    """
    if isinstance(number, bool) or not isinstance(number, int | float | Decimal):
        raise ValueError(f"must be {wanted}")  # noqa: TRY004 - pydantic wants a ValueError
    exact = number if isinstance(number, Decimal) else exact_decimal(number)
    if not exact.is_finite() or (exact.is_zero() and exact.is_signed()):
        raise ValueError(f"must be {wanted}")
    return exact


def _amount(number: Any) -> Decimal:
    amount = given_number(number, "a number of credits, such as 73.5")
    if abs(amount) > CREDITS_MAX:
        raise ValueError(f"must be at most {CREDITS_MAX:,} credits")
    rounded = round(amount, CREDIT_DECIMALS_MAX)
    if abs(amount - rounded) > FLOAT_NOISE:
        raise ValueError("must have at most three decimals, such as 73.5")
    return rounded


def _whole(number: Any) -> Any:
    if not isinstance(number, float):
        return number
    exact = given_number(number, "a whole number")
    return int(exact) if exact == exact.to_integral_value() else number


def _setting(value: Any) -> SettingValue:
    return canonical(given_number(value, "a number") if isinstance(value, float) else value)


def digits(text: Any) -> Any:
    """Digits only: query parameters are text, and pydantic would accept `1_000`, ` 5 ` and `-0` as numbers."""
    if isinstance(text, str) and (not _WHOLE.fullmatch(text) or text.startswith("-0")):
        raise ValueError("must be a whole number, such as 20")
    return text


def _written(moment: Any) -> Any:
    """Reject numbers, also as text, which pydantic would read as seconds since the epoch."""
    if not isinstance(moment, str) or not _DATE.match(moment):
        raise ValueError("must be a time with an offset, such as 2026-11-22T17:00:00Z")
    return moment


def _small(metadata: dict[str, Any]) -> dict[str, Any]:
    try:
        text = json.dumps(metadata, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        raise ValueError("must contain only finite numbers: JSON has no others") from None
    size = len(text.encode())
    if size > METADATA_MAX_BYTES:
        raise ValueError(f"must be at most 16 KiB of JSON; this is {size:,} bytes")
    return metadata


def amount_schema(**limits: Any) -> WithJsonSchema:
    """The description in `/openapi.json` of an `AmountIn` with further limits, which pydantic cannot derive."""
    return WithJsonSchema({"type": "number", "multipleOf": 0.001, "maximum": int(CREDITS_MAX)} | limits)


AmountIn = Annotated[Decimal, BeforeValidator(_amount), amount_schema()]
"""A number of credits in a request: at most three decimals (float noise aside), never a text or a boolean."""

WHOLE = BeforeValidator(_whole)
"""Behind the limits of a whole number in a request: JSON knows one kind of number, so 1.0 is 1."""

Credits = Annotated[Decimal, PlainSerializer(as_number, return_type=int | float), WithJsonSchema({"type": "number"})]
"""A number of credits in an answer."""

Setting = Annotated[
    Any,
    PlainValidator(_setting),
    PlainSerializer(lambda value: as_number(value) if isinstance(value, Decimal) else value),
    WithJsonSchema(
        {
            "type": ["string", "number", "boolean"],
            "maxLength": TEXT_MAX,
            "minimum": -NUMBER_MAX,
            "maximum": NUMBER_MAX,
            "multipleOf": 1e-9,
        }
    ),
]
"""The value of a model's setting."""

_TIME_EXAMPLE = "2026-11-22T17:00:00.000Z"
Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time", "examples": [_TIME_EXAMPLE]})]
"""A time in an answer: RFC 3339, UTC, with milliseconds."""

TimeIn = Annotated[
    AwareDatetime,
    Field(strict=False),  # `_written` is strict instead
    BeforeValidator(_written),
    Field(description="RFC 3339 with an offset, such as `2026-11-22T17:00:00Z`."),
]
"""A time in a request."""

# A shape used in several places has a name in `/openapi.json`, so that client generators create one class for it.

SettingsIn = TypeAliasType("SettingsIn", Annotated[dict[str, Setting], Field(max_length=64)])
"""Settings in a request."""

SettingsOut = TypeAliasType("SettingsOut", dict[str, Setting])
"""Settings in an answer."""

Counts = TypeAliasType("Counts", dict[str, int])
"""Numbers by tool, or by what they count."""

Factors = TypeAliasType("Factors", dict[str, Credits])
"""What is paid of the rate card's prices, by model, tool or `*`: 0.8 is 20 % off."""

Metadata = TypeAliasType(
    "Metadata",
    Annotated[dict[str, Any], AfterValidator(_small), Field(description="Your own data, at most 16 KiB.")],
)
"""The caller's own data: kept and given back, never read."""

Limit = Annotated[
    int,
    Field(ge=1, description=f"Page size. Values above {PAGE_MAX} are treated as {PAGE_MAX}."),
    BeforeValidator(digits),
    AfterValidator(lambda limit: min(limit, PAGE_MAX)),
]


class OfAccount(Query):
    """Whose things are read: nothing to say with an account's key."""

    account: (
        Annotated[
            str,
            Field(
                pattern=ACCOUNT_PATTERN,
                description=(
                    "The account to read; required with an operator's key. An account's key can only name its own."
                ),
            ),
        ]
        | None
    ) = None


class Period(Query):
    """When what is listed was made: a half-open period, so that two that meet have nothing in common."""

    created_after: (
        Annotated[TimeIn, Field(description="Only those created at or after this time (RFC 3339).")] | None
    ) = None
    created_before: Annotated[TimeIn, Field(description="Only those created before this time (RFC 3339).")] | None = (
        None
    )

    @property
    def first_ms(self) -> int | None:
        """The first millisecond of the period; None: unlimited."""
        return None if self.created_after is None else -(-(self.created_after - _EPOCH) // _MILLISECOND)

    @property
    def end_ms(self) -> int | None:
        """The first millisecond after it; None: unlimited."""
        return None if self.created_before is None else -(-(self.created_before - _EPOCH) // _MILLISECOND)


class PageQuery(Query):
    """One page of a list, newest first."""

    limit: Limit = 20
    before: Annotated[Text, Field(max_length=200, description="The `next` value of the previous page.")] | None = None
