"""A command that only looks makes nothing, wherever it is run; and it says which file it looked for.

`farebox account` in the wrong folder made a data folder with an admin key there, and then said that the gateway
refused it.
"""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from gateway.cli import farebox
from gateway.errors import FareboxError

# What serves, or is asked to write. All others only look, or ask a gateway.
WRITING = {
    ("up",),
    ("restore",),
    ("gateway",),
    ("redis",),
    ("worker",),
    ("caretaker",),
    ("archivist",),
    ("rebuild",),
    ("init",),
}
ARGUMENTS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("account", "adjust"): ("acme", "5", "--reason", "x"),
    ("account", "advance"): ("acme", "60"),
    ("account", "change"): ("acme", "basic", "--when", "now"),
    ("account", "factors"): ("acme", "video=0.9", "--reason", "x"),
    ("account", "grant"): ("acme", "5", "--reason", "x"),
    ("account", "subscribe"): ("acme", "basic"),
    ("account", "list"): (),
    ("account", "limit"): ("acme", "key_1", "5"),
    ("account", "revoke"): ("acme", "key_1"),
    ("account", "rotate"): ("acme", "key_1"),
    ("account", "members", "add"): ("acme", "Ada"),
    ("account", "members", "list"): ("acme",),
    **{("account", "members", name): ("acme", "mem_1") for name in ("change", "hand-over", "invite", "remove")},
    ("generation",): ("gen_nothing",),
    ("invoice", "check"): ("--provider", "fal", "--file", str(Path(__file__))),
    ("mcp",): (),
    ("ops", "cancel"): ("--account", "acme", "--reason", "x"),
    ("ops", "list"): (),
    ("ops", "pauses"): (),
    ("ops", "providers"): (),
    ("ops", "refund"): ("--account", "acme", "--reason", "x"),
    ("ops", "retry"): ("--account", "acme", "--reason", "x"),
    ("pause",): ("tool", "image", "--reason", "x"),
    ("resume",): ("tool", "image"),
    ("operator", "key"): ("viewer",),
    ("operator", "keys"): (),
    ("operator", "revoke"): ("key_1",),
    ("demo",): (),
    ("doctor",): (),
    ("audit",): (),
    ("audit-log",): (),
    ("signing-key", "show"): (),
    ("signing-key", "adopt"): (),
    ("pricing", "check"): (),
    ("pricing", "import"): (str(Path(__file__)),),
    ("pricing", "publish"): (),
    ("pricing", "rehearse"): (str(Path(__file__).parents[2] / "api" / "card.toml"),),
}


def looking() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []

    def walk(group: click.Group, path: tuple[str, ...]) -> None:
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if isinstance(command, click.Group):
                walk(command, (*path, name))
            elif (*path, name) not in WRITING:
                found.append((*path, name))

    walk(farebox, ())
    return found


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in os.environ:
        if name.startswith("FAREBOX_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", looking(), ids=" ".join)
def test_a_read_only_command_leaves_an_empty_folder_empty(empty_folder: Path, command: tuple[str, ...]) -> None:
    arguments = ARGUMENTS.get(command, ("acme",))
    answer = CliRunner().invoke(farebox, [*command, *arguments])
    assert "Usage: " not in answer.output
    assert list(empty_folder.iterdir()) == []


@pytest.mark.parametrize("command", [("account", "show", "acme"), ("generation", "gen_nothing"), ("demo",)])
def test_without_an_admin_key_the_file_is_named_and_what_to_do(empty_folder: Path, command: tuple[str, ...]) -> None:
    said = failure(CliRunner().invoke(farebox, command))
    assert str(empty_folder / ".farebox" / "admin-key") in said
    for way_out in ("where `farebox up` runs", "FAREBOX_DATA", "FAREBOX_ADMIN_KEY"):
        assert way_out in said


def test_a_ledger_that_is_not_here_is_said_with_its_folder(empty_folder: Path) -> None:
    answer = CliRunner().invoke(farebox, ["audit"])
    assert answer.exit_code == 2
    assert f"no embedded Redis is running in {empty_folder / '.farebox'}" in answer.output


def test_the_example_is_not_put_in_force_from_a_folder_without_a_card(empty_folder: Path) -> None:
    """`farebox pricing publish` in the wrong folder gave everybody the example's plans and limits."""
    assert f"no pricing.toml in {empty_folder}" in failure(CliRunner().invoke(farebox, ["pricing", "publish"]))


def failure(answer: Result) -> str:
    """What `main` would print of an expected failure."""
    assert isinstance(answer.exception, FareboxError), answer.output
    return str(answer.exception)
