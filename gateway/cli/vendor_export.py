"""Reads a vendor's usage or billing export: what it charged for each day and model.

Known are the columns of fal's billing events, usage and FOCUS reports, of OpenAI's cost export, and the usual names;
others are named by options. A row whose period is a whole day counts on that day as the vendor has it; a moment, on the
day that it is in our time zone. Read row by row: an export may have millions.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from pathlib import Path

from gateway.errors import FareboxError

# In order of preference, in lower case. Of fal: https://fal.ai/docs/platform-apis/v1/models/billing-events, …/usage and
# …/v1/account/focus (https://focus.finops.org). Of OpenAI: the button "Export" of its usage dashboard. Replicate has
# invoices, and no export.
_DATES = ("start_time_iso", "chargeperiodstart", "timestamp", "date", "day", "bucket", "created_at", "start_time")
_ENDS = {"start_time_iso": "end_time_iso", "chargeperiodstart": "chargeperiodend", "start_time": "end_time"}
_AMOUNTS = ("cost_total", "amount_value", "billedcost", "cost", "amount", "total", "cost_usd", "cost_estimate_nano_usd")
_MODELS = ("endpoint_id", "line_item", "skuid", "resourceid", "model", "endpoint", "description")
_CURRENCIES = ("amount_currency", "billingcurrency", "currency")
_CATEGORY, _USAGE = "chargecategory", "usage"  # FOCUS: credits, taxes and payments are no usage
_NANO = "_nano_usd"
_NANO_DIGITS = 9
_LARGEST_EXPONENT = 12
_DELIMITERS = ",;\t|"
_GROUPED = re.compile(r"-?\d{1,3}(,\d{3})+(\.\d+)?")
_SIGNS = re.compile(r"[\x24€£\s]")  # \x24 is the dollar
_SECONDS_DIGITS, _MILLISECONDS_DIGITS = 10, 13  # of Unix times of our days
_DAY = timedelta(days=1)


class ExportError(FareboxError):
    """The file cannot be compared: the message says which line and column, and what to do."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns to read; None: by the known names. `date_format` as in `strptime`; None: ISO 8601 or Unix."""

    date: str | None = None
    amount: str | None = None
    model: str | None = None
    currency: str | None = None
    date_format: str | None = None


@dataclass(slots=True)
class Charged:
    """What an export says: amounts in its currency by day and model, and how many rows they are made of."""

    by_day: dict[date, dict[str, Decimal]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Decimal)))
    rows: int = 0
    left_out: int = 0
    whole_days: bool = False


@dataclass(frozen=True, slots=True)
class _Layout:
    """The places of the columns in a row, and their names."""

    heads: list[str]
    date: int
    amount: int
    end: int | None
    model: int | None
    currency: int | None
    category: int | None


def read_export(path: Path, columns: Columns, *, currency: str, zone: tzinfo, times_in: tzinfo = UTC) -> Charged:
    """What a vendor charged, by day of `zone`; ExportError.

    `times_in` is the time zone of times that do not say theirs. Amounts must be in `currency`.
    """
    charged = Charged()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            delimiter = max(_DELIMITERS, key=first.count)
            layout = _layout(next(csv.reader([first], delimiter=delimiter), []), columns)
            for line, row in _rows(file, delimiter):
                _add(charged, _Row(line, row, layout), columns, currency=currency, zone=zone, times_in=times_in)
    except UnicodeDecodeError as error:
        raise ExportError(f"{path} is no UTF-8 text. Export it as CSV in UTF-8.") from error
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error.strerror}.") from error
    if not charged.rows:
        raise ExportError(f"{path} has no amounts: nothing can be compared.")
    return charged


def _rows(lines: Iterator[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        for row in reader:
            if any(row):
                yield reader.line_num + 1, row  # the heads are read already
    except csv.Error as error:
        raise ExportError(f"Line {reader.line_num + 1} is no CSV: {error}.") from error


def _layout(heads: list[str], columns: Columns) -> _Layout:
    places = {head.strip().lower(): place for place, head in reversed(list(enumerate(heads)))}

    def find(named: str | None, known: tuple[str, ...]) -> int | None:
        if named is not None and named.strip().lower() not in places:
            raise ExportError(f"There is no column {named!r}. Line 1 has {', '.join(heads) or 'none'}.")
        wanted = (named.strip().lower(),) if named is not None else known
        return next((places[name] for name in wanted if name in places), None)

    def needed(what: str, named: str | None, known: tuple[str, ...]) -> int:
        place = find(named, known)
        if place is None:
            raise ExportError(
                f"No column of line 1 is known as the {what}: {', '.join(heads) or 'it is empty'}. Name it with "
                f"--{what}-column."
            )
        return place

    at, amount = needed("date", columns.date, _DATES), needed("amount", columns.amount, _AMOUNTS)
    return _Layout(
        heads,
        date=at,
        amount=amount,
        end=places.get(_ENDS.get(heads[at].strip().lower(), "")),
        model=find(columns.model, _MODELS),
        currency=find(columns.currency, _CURRENCIES),
        category=places.get(_CATEGORY),
    )


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    cells: list[str]
    layout: _Layout

    def text(self, place: int | None) -> str:
        return self.cells[place].strip() if place is not None and place < len(self.cells) else ""

    def wrong(self, place: int, reason: str) -> ExportError:
        return ExportError(f"Line {self.line}, column {self.layout.heads[place].strip()}: {reason}")


def _add(charged: Charged, row: _Row, columns: Columns, *, currency: str, zone: tzinfo, times_in: tzinfo) -> None:
    layout = row.layout
    category = row.text(layout.category).lower()
    if not row.text(layout.amount) or category not in {"", _USAGE}:
        charged.left_out += 1  # a day without usage; a credit, a tax
        return
    said = row.text(layout.currency)
    if layout.currency is not None and said and said.upper() != currency:
        raise row.wrong(layout.currency, f"{said} is not {currency}, in which the rate card has its costs.")
    day, whole = _day(row, columns.date_format, zone, times_in)
    charged.by_day[day][row.text(layout.model)] += _amount(row)
    charged.rows += 1
    charged.whole_days |= whole


def _amount(row: _Row) -> Decimal:
    text = row.text(row.layout.amount)
    plain = _SIGNS.sub("", text)
    try:
        amount = Decimal(plain.replace(",", "") if _GROUPED.fullmatch(plain) else plain)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount.adjusted() > _LARGEST_EXPONENT:
        raise row.wrong(row.layout.amount, f"{text!r} is no amount. Amounts are written as 1234.56.")
    nano = row.layout.heads[row.layout.amount].strip().lower().endswith(_NANO)
    return amount.scaleb(-_NANO_DIGITS) if nano else amount


def _day(row: _Row, date_format: str | None, zone: tzinfo, times_in: tzinfo) -> tuple[date, bool]:
    """The day that a row counts on, and whether that is a whole day of the vendor's."""
    at = _moment(row, row.layout.date, date_format)
    if not isinstance(at, datetime):
        return at, True
    if row.text(row.layout.end):
        end = _moment(row, row.layout.end or 0, date_format)
        length = (end if isinstance(end, datetime) else datetime(end.year, end.month, end.day, tzinfo=at.tzinfo)) - at
        if length > _DAY:
            raise row.wrong(row.layout.date, f"the period has {length.days} days. Export it by day or by event.")
        if length == _DAY:
            return at.date(), True
    known = at if at.tzinfo else at.replace(tzinfo=times_in)
    return known.astimezone(zone).date(), False


def _moment(row: _Row, place: int, date_format: str | None) -> date | datetime:
    text = row.text(place)
    try:
        if date_format is not None:
            read = datetime.strptime(text, date_format)  # noqa: DTZ007 — its zone is added, if it has a time of day
            return read if re.search("%[HIcXsT]", date_format) else read.date()
        if text.isdecimal() and len(text) in {_SECONDS_DIGITS, _MILLISECONDS_DIGITS}:
            seconds = int(text) // (1000 if len(text) == _MILLISECONDS_DIGITS else 1)
            return datetime.fromtimestamp(seconds, UTC)
        return date.fromisoformat(text) if len(text) == len("2026-11-30") else datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        hint = (
            "Name its form with --date-format, such as %d/%m/%Y."
            if date_format is None
            else f"It is not {date_format}."
        )
        raise row.wrong(place, f"{text!r} is no date. {hint}") from None
