"""`farebox invoice check`: what we believe a provider costs beside what it charges, day by day."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
from rich.table import Table

from gateway.cli.listing import Listing
from gateway.cli.operator import ask_gateway
from gateway.cli.say import say, say_json
from gateway.cli.terminal import Terminal, as_text
from gateway.cli.vendor_export import Charged, Columns, ExportError, read_export
from gateway.errors import FareboxError

EXIT_DIFFERS = 1
EXIT_NOT_COMPARED = 2
_LARGEST = 3  # models of a day
_EXPLAINED = 5  # days
_NAME_WIDTH = 48


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a day may be off: an amount of money, or a share of what the vendor charged."""

    value: Decimal
    is_share: bool

    def covers(self, ours: Decimal, theirs: Decimal) -> bool:
        """Whether these two are near enough."""
        return abs(ours - theirs) <= (self.value * abs(theirs) if self.is_share else self.value)


class _ToleranceType(click.ParamType[Tolerance]):
    """A share such as 2%, or an amount such as 0.05."""

    name = "tolerance"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Tolerance:
        """Convert the text."""
        text = str(value).strip()
        try:
            number = Decimal(text.removesuffix("%"))
        except InvalidOperation:
            number = Decimal(-1)
        if not number.is_finite() or number < 0:
            self.fail(f"{value!r} is no share such as 2%, and no amount such as 0.05", param, ctx)
        return Tolerance(number / 100 if text.endswith("%") else number, is_share=text.endswith("%"))


class _Zone(click.ParamType[tzinfo]):
    """A time zone such as UTC or America/New_York."""

    name = "timezone"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tzinfo:
        """Convert the text."""
        try:
            return ZoneInfo(str(value))
        except (ValueError, OSError, LookupError):
            self.fail(f"{value!r} is no time zone such as UTC or America/New_York", param, ctx)


@dataclass(slots=True)
class InvoiceDay:
    """A day's costs by model: ours by our ids, theirs by the vendor's; `unknown`: ours without a known cost."""

    ours: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    theirs: Mapping[str, Decimal] = field(default_factory=dict)
    unknown: int = 0

    @property
    def sums(self) -> tuple[Decimal, Decimal]:
        """Ours and theirs."""
        return sum(self.ours.values(), Decimal()), sum(self.theirs.values(), Decimal())


class NotComparedError(click.ClickException):
    """Nothing was compared."""

    exit_code = EXIT_NOT_COMPARED


@click.group(cls=Listing)
def invoice() -> None:
    """Compare what providers charge with what the gateway believes they cost."""


@invoice.command()
@click.option("--provider", required=True, metavar="NAME", help="The provider, as the rate card calls it.")
@click.option(
    "--file",
    "path",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The vendor's export, as CSV.",
)
@click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), help="First day; default: the first of the file.")
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), help="Last day; default: the last of the file.")
@click.option(
    "--tolerance", type=_ToleranceType(), default="1%", show_default=True, help="What a day may be off: 2%, or 0.05."
)
@click.option("--date-column", "date", metavar="NAME", help="Column with the day or time; default: a known one.")
@click.option("--amount-column", "amount", metavar="NAME", help="Column with the amount; default: a known one.")
@click.option(
    "--model-column", "model", metavar="NAME", help="Column with the model or endpoint; default: a known one."
)
@click.option("--currency-column", "currency", metavar="NAME", help="Column with the currency; default: a known one.")
@click.option("--date-format", metavar="FORMAT", help="Form of the dates, such as %d/%m/%Y; default: ISO or Unix.")
@click.option(
    "--timezone", "times_in", type=_Zone(), default="UTC", show_default=True, help="Of times that do not say theirs."
)
@click.option("--json", "as_json", is_flag=True, help="Print all days, with their models, as JSON.")
def check(
    *,
    provider: str,
    path: Path,
    first: datetime | None,
    last: datetime | None,
    tolerance: Tolerance,
    times_in: tzinfo,
    as_json: bool,
    **columns: str | None,
) -> None:
    """Set our costs of a provider beside its export, day by day, and name the days that differ.

    Columns are found by name in exports of fal (billing events, usage, FOCUS) and OpenAI (cost), and in any CSV with
    columns called date and amount. Replicate has no export: enter its invoice as CSV.

    \b
    Exit codes:
      0  every day is within the tolerance
      1  a day differs
      2  nothing was compared: the file, an option or the gateway

    \b
    Examples:
      farebox invoice check --provider fal --file events.csv
      farebox invoice check --provider replicate --file invoice.csv \\
        --date-column Day --amount-column "Amount (USD)" --tolerance 2%
    """
    with _not_compared(path):
        ours = _totals(provider)
        zone = ZoneInfo(ours["timezone"])
        charged = read_export(path, Columns(**columns), currency=ours["currency"], zone=zone, times_in=times_in)
        from_day = first.date() if first else min(charged.by_day)
        to_day = last.date() if last else max(charged.by_day)
        if from_day > to_day:
            raise click.UsageError(f"--from {from_day} is after --to {to_day}.")
        rows = _costs(provider, from_day, to_day)
    days = dict(_compared(rows, charged, from_day, to_day))
    differing = [day for day, one in days.items() if not tolerance.covers(*one.sums)]
    if as_json:
        say_json(_as_data(provider, ours, days, differing))
    else:
        _show(provider, ours["currency"], days, differing)
        _note(provider, days, charged, ours["timezone"])
    sys.exit(EXIT_DIFFERS if differing else 0)


@contextmanager
def _not_compared(path: Path) -> Iterator[None]:
    """Whatever goes wrong before there is something to compare ends with one exit code."""
    try:
        yield
    except ExportError as error:
        raise NotComparedError(f"{path}: {error}") from error
    except FareboxError as error:
        raise NotComparedError(str(error)) from error
    except click.ClickException as error:
        raise NotComparedError(error.message) from error


def _totals(provider: str) -> dict[str, Any]:
    """Currency and time zone of the rate card's costs; an unknown provider is refused."""
    asked = {"provider": provider, "group_by": "day"}
    return ask_gateway(lambda client: client.call("GET", "/v1/ops/margin", query=asked))


def _costs(provider: str, first: date, last: date) -> list[dict[str, Any]]:
    asked = {"provider": provider, "group_by": "day,model", "from": str(first), "to": str(last)}
    answer = ask_gateway(lambda client: client.call("GET", "/v1/ops/margin", query=asked))
    rows: list[dict[str, Any]] = answer["data"]
    return rows


def _compared(
    rows: list[dict[str, Any]], charged: Charged, first: date, last: date
) -> Iterator[tuple[date, InvoiceDay]]:
    ours: dict[date, InvoiceDay] = defaultdict(InvoiceDay)
    for row in rows:
        made = ours[date.fromisoformat(row["day"])]
        made.ours[row["model"]] += Decimal(row["cost"])
        made.unknown += row["unknown"]["generations"]
    for offset in range((last - first).days + 1):
        day = first + timedelta(days=offset)
        one = ours[day]
        one.theirs = charged.by_day.get(day, {})
        yield day, one


def _as_data(
    provider: str, ours: dict[str, Any], days: Mapping[date, InvoiceDay], differing: list[date]
) -> dict[str, Any]:
    return {
        "provider": provider,
        "currency": ours["currency"],
        "timezone": ours["timezone"],
        "days": [
            {
                "day": str(day),
                **_sums(one),
                "differs": day in differing,
                "ours_by_model": {name: str(amount) for name, amount in one.ours.items()},
                "theirs_by_model": {name: str(amount) for name, amount in one.theirs.items()},
                "without_known_cost": one.unknown,
            }
            for day, one in days.items()
        ],
        "total": _sums(_all(days)),
        "differing": len(differing),
    }


def _sums(one: InvoiceDay) -> dict[str, str]:
    ours, theirs = one.sums
    return {"ours": str(ours), "theirs": str(theirs), "difference": str(ours - theirs)}


def _all(days: Mapping[date, InvoiceDay]) -> InvoiceDay:
    return InvoiceDay(
        ours={str(day): one.sums[0] for day, one in days.items()},
        theirs={str(day): one.sums[1] for day, one in days.items()},
    )


def _show(provider: str, currency: str, days: Mapping[date, InvoiceDay], differing: list[date]) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("day", no_wrap=True)
    for column in (f"ours, {currency}", provider, "difference", ""):
        table.add_column(as_text(column), justify="right", overflow="ellipsis", no_wrap=True, max_width=16)
    table.add_column("")
    for day, one in days.items():
        table.add_row(str(day), *_cells(one), "[bold red]differs[/]" if day in differing else "")
    table.add_row("[bold]all[/]", *_cells(_all(days)), "")
    console = Terminal()
    console.print_whole(table)
    for day in differing[:_EXPLAINED]:
        console.print(f"[bold]{day}[/], the largest:")
        for whose, amounts in (("ours", days[day].ours), (provider, days[day].theirs)):
            largest = sorted(amounts.items(), key=lambda found: -abs(found[1]))
            for name, amount in largest[:_LARGEST]:
                console.print(f"  {as_text(whose):<12.12} {as_text(_short(name)):<{_NAME_WIDTH}} {amount:>14,.4f}")
            if not largest:
                console.print(f"  {as_text(whose):<12.12} nothing")
    if len(differing) > _EXPLAINED:
        say(f"and {len(differing) - _EXPLAINED} more days (--json has all)")


def _short(name: str) -> str:
    name = name or "(no model)"
    return name if len(name) <= _NAME_WIDTH else f"{name[: _NAME_WIDTH - 1]}…"


def _cells(one: InvoiceDay) -> tuple[str, str, str, str]:
    ours, theirs = one.sums
    share = f"{100 * (ours - theirs) / theirs:+.1f} %" if theirs else "–"
    return f"{ours:,.4f}", f"{theirs:,.4f}", f"{ours - theirs:+,.4f}", share


def _note(provider: str, days: Mapping[date, InvoiceDay], charged: Charged, timezone: str) -> None:
    """What may explain a difference."""
    if not any(one.ours for one in days.values()):
        say(f"We have no generations at {provider!r} on these days. Is it what the rate card calls this provider?")
    unknown = sum(one.unknown for one in days.values())
    if unknown:
        say(f"{unknown:,} of our generations have no known cost: give their models a `cost` in the rate card.")
    if charged.whole_days and timezone != "UTC":
        say(
            f"The days of the file are {provider}'s, and ours are days in {timezone}: what was made near midnight may "
            "be on another day. The sums over all days are nearer."
        )
    outside = sum(sum(amounts.values(), Decimal()) for day, amounts in charged.by_day.items() if day not in days)
    if outside:
        say(f"The file has {outside:,.4f} on other days, which were left out.")
    if charged.left_out:
        say(f"{charged.left_out:,} rows of the file without an amount, or that are no usage, were left out.")
