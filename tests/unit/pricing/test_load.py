"""From a file to a card: which file, its version, its time, its defaults."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.domain import Interval
from gateway.pricing.card import RateCard
from gateway.pricing.load import default_card_path, load_card, read_card

SMALLEST = """
[tools.video]
name = "Video"
baseline_model = "clip"
[models.clip]
name = "Clip"
tool = "video"
provider = "sandbox"
[[models.clip.rates]]
credits = 1
"""


def test_the_version_is_the_digest_of_the_files_bytes_and_the_time_is_the_files(tmp_path: Path) -> None:
    path = tmp_path / "pricing.toml"
    path.write_text(SMALLEST)
    os.utime(path, ns=(0, 1_700_000_000_123_999_999))
    card = load_card(path)
    assert card.version == "sha256:" + hashlib.sha256(SMALLEST.encode()).hexdigest()
    assert card.file_time_ms == 1_700_000_000_123
    assert card.path == str(path)


def test_what_is_left_out_has_the_documented_defaults() -> None:
    card = read_card(SMALLEST.encode())
    assert (card.free.daily_millicredits, card.free.for_everyone, card.free.timezone) == (100_000, True, "UTC")
    assert (card.free.reset_ms, card.refunds.grace_ms) == (0, 24 * 3_600_000)
    tool = card.tools["video"]
    hour_ms = 3_600_000
    assert (tool.queue_timeout_ms, tool.provider_timeout_ms, tool.waiting_timeout_ms, tool.attempts_max) == (
        hour_ms,
        hour_ms * 3 // 4,
        24 * hour_ms,
        3,
    )
    model = card.models["clip"]
    assert (model.pro, model.outputs_max, model.inputs.image, model.inputs.video) == (False, 1, 0, 0)


def test_a_plan_may_be_sold_at_some_intervals_only() -> None:
    card = read_card((SMALLEST + '[plans.p]\nname = "P"\nmonthly_credits = 1\nprice = { yearly = 9.5 }').encode())
    assert card.plans["p"].price.of(Interval.MONTHLY) is None
    assert str(card.plans["p"].price.of(Interval.YEARLY)) == "9.50"


def test_a_card_cannot_be_changed() -> None:
    card = read_card(SMALLEST.encode())
    with pytest.raises(ValidationError, match="frozen"):
        card.models["clip"].pro = True  # type: ignore[misc]


def test_the_card_that_is_set_comes_before_the_one_in_this_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pricing.toml").write_text(SMALLEST)
    assert default_card_path(Path("other.toml")) == Path("other.toml")
    assert default_card_path() == Path("pricing.toml")


def test_elsewhere_the_card_that_came_with_farebox_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, default_card: RateCard
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_card(default_card_path()).version == default_card.version
