"""What was reported of an output (R29): the provider's own figures, else what is measured on the output itself.

Figures are untrusted: whatever is not an amount is recorded as such, and the ledger charges the ceiling for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal

import structlog

from gateway.domain import GenerationRequest
from gateway.media import Media
from gateway.metering import MILLIONTHS, Meter, Unit
from workers.metrics import UNIT_REPORTS

_UNITS_MAX = 1e9  # a hundred times the highest ceiling of a card; more is no figure

log = structlog.get_logger(__name__)


def reports_of(
    request: GenerationRequest, said: Mapping[Unit, object], media: Media, generation: str
) -> dict[Unit, int | None]:
    """The reports of one output for the units that its price charges; units without any are left out."""
    reports: dict[Unit, int | None] = {}
    if request.metering is None:
        return reports
    for meter in request.metering.meters:
        if said.get(meter.unit) is not None:
            reports[meter.unit] = millionths(said[meter.unit])
            outcome = _outcome(meter, reports[meter.unit])
        elif (measured := measured_units(media).get(meter.unit)) is not None:
            reports[meter.unit] = measured
            outcome = "measured" if measured <= meter.at_most else "above_ceiling"
        else:
            outcome = "missing"
        UNIT_REPORTS.labels(request.model, meter.unit, outcome).inc()
        if outcome in {"not_an_amount", "above_ceiling"}:
            log.warning(
                "report_charged_at_ceiling",
                generation=generation,
                model=request.model,
                unit=meter.unit,
                why=outcome,
                reported=_shown(reports[meter.unit]),
                ceiling=_shown(meter.at_most),
            )
    return reports


def millionths(value: object) -> int | None:
    """A vendor's number in millionths; None if it is not an amount: negative, NaN, infinite, text."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or not 0 <= value <= _UNITS_MAX:
        return None  # no comparison is true of NaN
    return int((Decimal(str(value)) * MILLIONTHS).to_integral_value(ROUND_HALF_UP))


def measured_units(media: Media) -> dict[Unit, int]:
    """What can be measured on the output, in millionths: its length, its size, or its characters."""
    if media.duration_seconds is not None:
        return {Unit.SECONDS: int(media.duration_seconds * MILLIONTHS)}
    if media.width and media.height:
        return {Unit.MEGAPIXELS: media.width * media.height}
    return {} if media.characters is None else {Unit.CHARACTERS: media.characters * MILLIONTHS}


def _outcome(meter: Meter, reported: int | None) -> str:
    if reported is None:
        return "not_an_amount"
    return "reported" if reported <= meter.at_most else "above_ceiling"


def _shown(amount: int | None) -> float | None:
    return None if amount is None else amount / MILLIONTHS
