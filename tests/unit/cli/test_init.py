from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import farebox
from gateway.cli.documentation import fields_page
from gateway.errors import SettingsError
from gateway.pricing.load import default_card_path, is_the_example, load_card, packaged_card_path
from gateway.settings import Settings
from gateway.startup.exposure import warnings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("FAREBOX_RATE_CARD", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_init_writes_the_example_with_its_comments_and_it_holds(folder: Path) -> None:
    assert is_the_example(default_card_path())
    answer = CliRunner().invoke(farebox, ["init"])
    assert answer.exit_code == 0, answer.output
    assert (folder / "pricing.toml").read_bytes() == packaged_card_path().read_bytes()
    assert not is_the_example(default_card_path())
    load_card(default_card_path())
    assert str(fields_page()) in answer.output
    assert fields_page().is_file()


def test_init_never_overwrites(folder: Path) -> None:
    (folder / "pricing.toml").write_text("mine")
    answer = CliRunner().invoke(farebox, ["init"])
    assert isinstance(answer.exception, SettingsError)
    assert (folder / "pricing.toml").read_text() == "mine"


def test_init_makes_the_folder_that_it_is_given_and_says_how_to_go_there(folder: Path) -> None:
    answer = CliRunner().invoke(farebox, ["init", "my shop"])
    assert (folder / "my shop" / "pricing.toml").is_file()
    assert "cd 'my shop' && farebox pricing check" in answer.output


def test_init_says_if_another_card_is_set(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAREBOX_RATE_CARD", "/etc/farebox/card.toml")
    assert "FAREBOX_RATE_CARD is set to /etc/farebox/card.toml" in CliRunner().invoke(farebox, ["init"]).output
    assert (folder / "pricing.toml").is_file()


def test_a_gateway_that_others_reach_warns_of_the_example_until_there_is_a_card(folder: Path) -> None:
    public, event = Settings(host="0.0.0.0", data=folder / "data"), "PRICES_ARE_THE_EXAMPLE"
    assert event in dict(warnings(public))
    assert event not in dict(warnings(Settings(data=folder / "data")))
    CliRunner().invoke(farebox, ["init"])
    assert event not in dict(warnings(public))
