"""Encodes and decodes what a price charges for reported units (R29), and what was reported.

Rates are written as millicredits with six decimals, amounts as whole millionths of their unit, so that scripts read
them exactly.
"""

from __future__ import annotations

from gateway.metering import NANOCREDITS_PER_MILLICREDIT, Meter, Metering, Reports, Unit

_NOT_AN_AMOUNT = "?"


def encode_metering(metering: Metering) -> str:
    """`<first line>;<fixed>;<unit>:<rate>:<at most>:<unreported>,…`."""
    meters = (f"{one.unit}:{_millicredits(one.nanocredits)}:{one.at_most}:{one.unreported}" for one in metering.meters)
    return f"{metering.first_line};{_millicredits(metering.fixed_nanocredits)};{','.join(meters)}"


def decode_metering(text: str) -> Metering:
    """The reverse."""
    first_line, fixed, meters = text.split(";")
    return Metering(
        fixed_nanocredits=_nanocredits(fixed),
        meters=tuple(
            Meter(Unit(unit), _nanocredits(rate), int(at_most), int(unreported))
            for unit, rate, at_most, unreported in (meter.split(":") for meter in meters.split(","))
        ),
        first_line=int(first_line),
    )


def encode_reports(reports: Reports) -> str:
    """`<unit>:<millionths>,…`; `?` in place of what is not an amount."""
    return ",".join(f"{unit}:{_NOT_AN_AMOUNT if amount is None else amount}" for unit, amount in reports.items())


def decode_reports(text: str) -> dict[Unit, int | None]:
    """The reverse."""
    pairs = (pair.split(":") for pair in text.split(",") if pair)
    return {Unit(unit): None if amount == _NOT_AN_AMOUNT else int(amount) for unit, amount in pairs}


def decode_charged(text: str) -> dict[Unit, int]:
    """What an ending charged for, in the same form; each is an amount."""
    return {unit: amount or 0 for unit, amount in decode_reports(text).items()}


def _millicredits(nanocredits: int) -> str:
    whole, fraction = divmod(nanocredits, NANOCREDITS_PER_MILLICREDIT)
    return f"{whole}.{fraction:06d}"


def _nanocredits(millicredits: str) -> int:
    whole, fraction = millicredits.split(".")
    return int(whole) * NANOCREDITS_PER_MILLICREDIT + int(fraction)
