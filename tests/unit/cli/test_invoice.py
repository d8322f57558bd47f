"""`farebox invoice check` against exports as vendors write them, and answers as `GET /v1/ops/margin` gives them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
import pytest
from click.testing import CliRunner, Result

from gateway.cli import invoice
from gateway.cli.vendor_export import Charged, Columns, ExportError, read_export

# GET https://api.fal.ai/v1/models/billing-events, written as CSV.
FAL_EVENTS = """\
request_id,endpoint_id,timestamp,output_units,unit_price,percent_discount,cost_subtotal,cost_discount,cost_total,cost_estimate_nano_usd
764cabcf,fal-ai/flux/dev,2026-11-01T10:30:45Z,2,0.025,10,0.05,0.005,0.045,45000000
5f1c2d3e,fal-ai/kling-video/v2.1/pro,2026-11-01T23:59:59Z,5,0.09,,0.45,0,0.45,450000000
9a8b7c6d,fal-ai/flux/dev,2026-11-02T00:00:01Z,1,0.025,,0.025,0,0.025,25000000
"""
# GET https://api.fal.ai/v1/account/focus: usage, and what is none.
FAL_FOCUS = """\
BilledCost,BillingCurrency,ChargeCategory,ChargePeriodStart,ChargePeriodEnd,SkuId,ConsumedQuantity
0.495,USD,Usage,2026-11-01T00:00:00Z,2026-11-02T00:00:00Z,fal-ai/flux/dev,20
0.025,USD,Usage,2026-11-02T00:00:00Z,2026-11-03T00:00:00Z,fal-ai/flux/dev,1
-5,USD,Credit,2026-11-01T00:00:00Z,2026-12-01T00:00:00Z,,
0.1,USD,Tax,2026-11-01T00:00:00Z,2026-12-01T00:00:00Z,,
"""
# The file cost_2026-11-01_2026-12-01.csv of OpenAI's usage dashboard: days without usage have no amount.
OPENAI_COST = """\
start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,quantity,line_item,project_id,user_email
1793491200,1793577600,2026-11-01T00:00:00+00:00,2026-11-02T00:00:00+00:00,0.49500000000000001,usd,12,"gpt-image, out",,
1793577600,1793664000,2026-11-02T00:00:00+00:00,2026-11-03T00:00:00+00:00,2.5e-02,usd,1,"gpt-image, out",,
1793664000,1793750400,2026-11-03T00:00:00+00:00,2026-11-04T00:00:00+00:00,,,,,,
"""
# Replicate has invoices only: entered by hand.
BY_HAND = """\ufeffDay;What;Amount (USD)
01/11/2026;black-forest-labs/flux-dev;$0.495
02/11/2026;black-forest-labs/flux-dev;0.025
"""
SUMS = {date(2026, 11, 1): Decimal("0.495"), date(2026, 11, 2): Decimal("0.025")}


def sums(charged: Charged) -> dict[date, Decimal]:
    return {day: round(sum(amounts.values(), Decimal()), 12) for day, amounts in charged.by_day.items()}


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    """Writes an export and returns its path."""

    def write(text: str) -> Path:
        path = tmp_path / "export.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("text", "columns", "left_out", "models"),
    [
        (FAL_EVENTS, {}, 0, {"fal-ai/flux/dev", "fal-ai/kling-video/v2.1/pro"}),
        (FAL_EVENTS, {"amount": "cost_estimate_nano_usd"}, 0, {"fal-ai/flux/dev", "fal-ai/kling-video/v2.1/pro"}),
        (FAL_FOCUS, {}, 2, {"fal-ai/flux/dev"}),
        (OPENAI_COST, {}, 1, {"gpt-image, out"}),
        (
            BY_HAND,
            {"date": "Day", "amount": "amount (usd)", "model": "What", "date_format": "%d/%m/%Y"},
            0,
            {"black-forest-labs/flux-dev"},
        ),
        ("timestamp\tcost\n1793491200\t0.495\n1793577600000\t0.025\n", {}, 0, {""}),
        ('date,amount\n2026-11-01,"1,000.495"\n2026-11-01,-1000\n\n2026-11-02,0.025\n', {}, 0, {""}),
    ],
    ids=["fal events", "nano dollars", "fal FOCUS", "OpenAI", "by hand", "Unix times", "plain"],
)
def test_exports_are_read_as_vendors_write_them(
    written: Callable[[str], Path], text: str, columns: dict[str, str], left_out: int, models: set[str]
) -> None:
    charged = read_export(written(text), Columns(**columns), currency="USD", zone=UTC)
    assert sums(charged) == SUMS
    assert charged.left_out == left_out
    assert {model for amounts in charged.by_day.values() for model in amounts} == models


def test_a_moment_counts_on_our_day_and_a_whole_day_on_the_vendors(written: Callable[[str], Path]) -> None:
    new_york = ZoneInfo("America/New_York")
    moments = read_export(written(FAL_EVENTS), Columns(), currency="USD", zone=new_york)
    assert sums(moments) == {date(2026, 11, 1): Decimal("0.52")}
    assert not moments.whole_days
    days = read_export(written(OPENAI_COST), Columns(), currency="USD", zone=new_york)
    assert (sums(days), days.whole_days) == (SUMS, True)
    local = written("date,amount\n2026-11-01 20:00,1\n2026-11-01 23:30,2\n")
    tokyo = read_export(local, Columns(), currency="USD", zone=UTC, times_in=ZoneInfo("Asia/Tokyo"))
    assert sums(tokyo) == {date(2026, 11, 1): Decimal(3)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is known as the date: it is empty. Name it with --date-column."),
        ("when,amount\n", "No column of line 1 is known as the date: when, amount. Name it with --date-column."),
        ("date,price\n", "is known as the amount: date, price. Name it with --amount-column."),
        ("date,amount\n", "has no amounts"),
        (
            "date,amount\n2026-11-01,1\n13/11/2026,2\n",
            "Line 3, column date: '13/11/2026' is no date. Name its form with",
        ),
        ('date,amount\n2026-11-01,"1.234,56"\n', "Line 2, column amount: '1.234,56' is no amount."),
        ("date,amount\n2026-11-01,NaN\n", "Line 2, column amount: 'NaN' is no amount."),
        ("date,amount\n2026-11-01,1e999999999\n", "Line 2, column amount: '1e999999999' is no amount."),
        ("date,amount,currency\n2026-11-01,1,EUR\n", "Line 2, column currency: EUR is not USD"),
        ("date,amount\n,12.50\n", "Line 2, column date: '' is no date."),
        (FAL_FOCUS.replace("2026-11-03T", "2026-12-01T"), "Line 3, column ChargePeriodStart: the period has 29 days."),
        ('date,amount\n2026-11-01,"1\n\n2"\n2026-11-02,x\n', "Line 5, column amount"),
    ],
)
def test_what_is_wrong_is_named_by_line_and_column(written: Callable[[str], Path], text: str, said: str) -> None:
    with pytest.raises(ExportError) as caught:
        read_export(written(text), Columns(), currency="USD", zone=UTC)
    assert said in str(caught.value)


def row(day: str, model: str, cost: str, unknown: int = 0) -> dict[str, Any]:
    return {"day": day, "model": model, "cost": cost, "unknown": {"credits": 0, "generations": unknown}}


@pytest.fixture
def check(written: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs the command with what the gateway would answer; a text for it is its error."""

    def run(text: str, rows: list[dict[str, Any]] | str, *options: str, timezone: str = "UTC") -> Result:
        def answer(*_: object) -> dict[str, Any]:
            if isinstance(rows, str):
                raise click.ClickException(rows)
            return {"data": rows, "currency": "USD", "timezone": timezone}

        monkeypatch.setattr(invoice, "ask_gateway", answer)
        command = ["check", "--provider", "fal", "--file", str(written(text)), *options]
        return CliRunner().invoke(invoice.invoice, command, env={"COLUMNS": "80"}, terminal_width=80)

    return run


OURS = [
    row("2026-11-01", "flux-dev", "0.045000"),
    row("2026-11-01", "kling", "0.450000"),
    row("2026-11-02", "flux-dev", "0.025000"),
]


def test_what_agrees_ends_with_0_and_what_differs_with_1(check: Callable[..., Result]) -> None:
    agreed = check(FAL_EVENTS, OURS)
    assert (agreed.exit_code, "differs" in agreed.output) == (0, False)
    assert "all" in agreed.output
    off = check(FAL_EVENTS, [*OURS, row("2026-11-02", "kling", "0.090000", unknown=3)])
    assert off.exit_code == 1
    lines = off.output.splitlines()
    (found,) = [line for line in lines if line.startswith("2026-11-02 ")]
    assert found.split() == ["2026-11-02", "0.1150", "0.0250", "+0.0900", "+360.0", "%", "differs"]
    assert "2026-11-02, the largest:" in off.output
    assert "  ours         kling                                                    0.0900" in lines
    assert "  fal          fal-ai/flux/dev                                          0.0250" in lines
    assert "3 of our generations have no known cost: give their models a `cost` in the rate card." in lines
    assert max(map(len, lines)) <= 80 + len(" in the rate card.")
    assert max(len(line) for line in lines if not line.startswith("3 of")) <= 80


@pytest.mark.parametrize(
    ("tolerance", "code"), [("0", 1), ("1%", 1), ("19.9%", 1), ("20%", 0), ("0.004", 1), ("0.005", 0)]
)
def test_a_day_may_be_off_by_a_share_or_an_amount(check: Callable[..., Result], tolerance: str, code: int) -> None:
    ours = [*OURS[:2], row("2026-11-02", "flux-dev", "0.030000")]
    assert check(FAL_EVENTS, ours, "--tolerance", tolerance).exit_code == code


def test_days_that_only_one_side_has_differ(check: Callable[..., Result]) -> None:
    missing = check(FAL_EVENTS, OURS[:2])
    assert (missing.exit_code, "ours         nothing" in missing.output) == (1, True)
    longer = check(FAL_EVENTS, [*OURS, row("2026-11-03", "flux-dev", "1.000000")], "--to", "2026-11-03")
    assert (longer.exit_code, "fal          nothing" in longer.output) == (1, True)
    shorter = check(FAL_EVENTS, OURS[:2], "--to", "2026-11-01")
    assert shorter.exit_code == 0
    assert "The file has 0.0250 on other days, which were left out." in shorter.output


def test_json_has_all_days_with_exact_sums(check: Callable[..., Result]) -> None:
    said = json.loads(check(OPENAI_COST, OURS, "--json").output)
    assert said["differing"] == 0
    assert said["days"][0] == {
        "day": "2026-11-01",
        "ours": "0.495000",
        "theirs": "0.49500000000000001",
        "difference": "-1E-17",
        "differs": False,
        "ours_by_model": {"flux-dev": "0.045000", "kling": "0.450000"},
        "theirs_by_model": {"gpt-image, out": "0.49500000000000001"},
        "without_known_cost": 0,
    }
    assert said["total"]["ours"] == "0.520000"


@pytest.mark.parametrize(
    ("rows", "options", "said"),
    [
        ("The gateway is not reachable.", (), "The gateway is not reachable."),
        (OURS, ("--date-column", "When"), "There is no column 'When'. Line 1 has request_id, endpoint_id"),
        (OURS, ("--tolerance", "-1"), "'-1' is no share such as 2%, and no amount such as 0.05"),
        (OURS, ("--timezone", "Mars"), "'Mars' is no time zone"),
        (OURS, ("--from", "2026-11-02", "--to", "2026-11-01"), "--from 2026-11-02 is after --to 2026-11-01."),
    ],
)
def test_what_was_not_compared_ends_with_2(
    check: Callable[..., Result], rows: list[dict[str, Any]] | str, options: tuple[str, ...], said: str
) -> None:
    ended = check(FAL_EVENTS, rows, *options)
    assert (ended.exit_code, said in ended.output) == (2, True), ended.output


def test_days_of_another_time_zone_are_said_to_be_others(check: Callable[..., Result]) -> None:
    said = check(OPENAI_COST, OURS, timezone="America/New_York").output
    assert "The days of the file are fal's, and ours are days in America/New_York" in said
    assert "The days of the file" not in check(FAL_EVENTS, OURS, "--tolerance", "1", timezone="America/New_York").output
