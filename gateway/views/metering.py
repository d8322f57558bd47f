"""Prices that are charged by what is reported (R29), as shown: ceilings, reports, and what was charged for."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from gateway.domain import PriceLine
from gateway.ledger import outcomes
from gateway.metering import MILLIONTHS, Metering, Reports, Unit
from gateway.schemas.base import as_number
from gateway.schemas.prices import Line
from gateway.schemas.receipts import ReceiptLine


def ceiling(metering: Metering | None) -> dict[str, bool]:
    """The member that marks a price as the most that can be charged; none for a firm one."""
    return {} if metering is None else {"at_most": True}


def line_shapes(lines: tuple[PriceLine, ...], metering: Metering | None) -> list[Line]:
    """The lines of a price."""
    return [Line(**_line(line), **_unit(unit)) for line, unit in _with_units(lines, metering)]


def units_of(lines: tuple[PriceLine, ...], metering: Metering | None) -> list[Unit | None]:
    """The reported unit that each line charges for, None for the others."""
    return [unit for _, unit in _with_units(lines, metering)]


def receipt_lines(generation: outcomes.Generation) -> list[ReceiptLine]:
    """The lines of a generation's price; those of reported units with what they came to."""
    request = generation.request
    shown = []
    for line, unit in _with_units(request.lines, request.metering):
        members: dict[str, Any] = {**_line(line), **_unit(unit)}
        if unit is not None:
            charged = None if generation.charged is None else generation.charged.get(unit)
            members |= {
                "held_for": line.count,
                "reported": _units(_reported(generation, unit)),
                "charged": _units(charged),
            }
        shown.append(ReceiptLine(**members))
    return shown


def report_members(reports: Reports) -> dict[Unit, int | float | None]:
    """What was reported of an output; None for what is not an amount."""
    return {unit: None if amount is None else as_number(_exact(amount)) for unit, amount in reports.items()}


def _with_units(lines: tuple[PriceLine, ...], metering: Metering | None) -> Iterator[tuple[PriceLine, Unit | None]]:
    first, meters = (0, ()) if metering is None else (metering.first_line, metering.meters)
    for place, line in enumerate(lines):
        yield line, meters[place - first].unit if first <= place < first + len(meters) else None


def _line(line: PriceLine) -> dict[str, Any]:
    return {"label": line.label, "credits": line.credits, "count": line.count, "total": line.total}


def _unit(unit: Unit | None) -> dict[str, Any]:
    return {} if unit is None else {"unit": unit}


def _reported(generation: outcomes.Generation, unit: Unit) -> int | None:
    """What was reported of all outputs together; None if there is no amount among it."""
    amounts = [amount for output in generation.outputs if (amount := output.reports.get(unit)) is not None]
    return sum(amounts) if amounts else None


def _units(millionths: int | None) -> Decimal | None:
    return None if millionths is None else _exact(millionths)


def _exact(millionths: int) -> Decimal:
    return Decimal(millionths) / MILLIONTHS
