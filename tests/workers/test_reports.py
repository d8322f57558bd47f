"""R29: what a provider reports of an output is untrusted; what it does not report is measured on the output itself."""

from __future__ import annotations

from decimal import Decimal

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from gateway.domain import GenerationRequest
from gateway.media import Media
from gateway.metering import MILLIONTHS, Meter, Metering, Unit
from workers.attempts.reports import reports_of

FILM = Media("video/mp4", 1280, 720, Decimal("5.042"))
PICTURE = Media("image/png", 1024, 768)


def priced_by(*units: Unit) -> GenerationRequest:
    """A request whose price charges for these, up to ten of each; without any, it is firm."""
    meters = tuple(Meter(unit, 1, 10 * MILLIONTHS, 0) for unit in units)
    return GenerationRequest(
        tool="video", model="dream", provider="box", prompt="", outputs=1, price_millicredits=1, rate_card="sha256:0",
        metering=Metering(0, meters, 0) if meters else None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("said", "recorded", "outcome"),
    [
        (2.5, 2_500_000, "reported"),
        (3, 3_000_000, "reported"),
        (Decimal("0.833334"), 833_334, "reported"),
        (1e-7, 0, "reported"),
        (0, 0, "reported"),
        (10, 10_000_000, "reported"),
        (10.5, 10_500_000, "above_ceiling"),
        (-1, None, "not_an_amount"),
        (float("nan"), None, "not_an_amount"),
        (float("inf"), None, "not_an_amount"),
        (1e300, None, "not_an_amount"),
        (10**400, None, "not_an_amount"),
        ("3", None, "not_an_amount"),
        (True, None, "not_an_amount"),
        ([3], None, "not_an_amount"),
    ],
)
def test_a_figure_is_an_amount_or_is_recorded_as_none(said: object, recorded: int | None, outcome: str) -> None:
    before = _counted("gpu_seconds", outcome)
    with capture_logs() as logs:
        reports = reports_of(priced_by(Unit.GPU_SECONDS), {Unit.GPU_SECONDS: said}, FILM, "gen_1")
    assert reports == {Unit.GPU_SECONDS: recorded}
    assert _counted("gpu_seconds", outcome) == before + 1
    warned = [line["why"] for line in logs if line["event"] == "report_charged_at_ceiling"]
    assert warned == ([] if outcome == "reported" else [outcome])


@pytest.mark.parametrize(
    ("unit", "media", "measured"),
    [
        (Unit.SECONDS, FILM, 5_042_000),
        (Unit.SECONDS, PICTURE, None),
        (Unit.MEGAPIXELS, PICTURE, 1024 * 768),
        (Unit.MEGAPIXELS, FILM, None),
        (Unit.SECONDS, Media("audio/mpeg", duration_seconds=Decimal(3)), 3_000_000),
        (Unit.CHARACTERS, Media("text/plain", characters=42), 42_000_000),
        (Unit.CHARACTERS, PICTURE, None),
        (Unit.GPU_SECONDS, FILM, None),
    ],
)
def test_what_is_not_reported_is_measured_on_the_output_if_it_can_be(
    unit: Unit, media: Media, measured: int | None
) -> None:
    reports = reports_of(priced_by(unit), {Unit.TOKENS: 5, unit: None}, media, "gen_1")
    assert reports == ({} if measured is None else {unit: measured})


def test_what_is_reported_comes_before_what_is_measured_and_a_firm_price_records_nothing() -> None:
    assert reports_of(priced_by(Unit.SECONDS), {Unit.SECONDS: 4}, FILM, "gen_1") == {Unit.SECONDS: 4_000_000}
    assert reports_of(priced_by(), {Unit.SECONDS: 4}, FILM, "gen_1") == {}


def _counted(unit: str, outcome: str) -> float:
    labels = {"model": "dream", "unit": unit, "outcome": outcome}
    return REGISTRY.get_sample_value("farebox_reported_units_total", labels) or 0.0
