from __future__ import annotations

import os
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from gateway.cli import documentation, farebox
from gateway.cli.documentation import docs_folder
from gateway.local.embedded import lock
from gateway.pricing.load import load_card, packaged_card_path
from tests.preforked import run_farebox

_ROOT = Path(__file__).parents[3]


def forked(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return run_farebox(*arguments, environment={**os.environ, **environment})


def _all_commands() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []

    def walk(group: click.Group, path: tuple[str, ...]) -> None:
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None, name
            found.append((*path, name))
            if isinstance(command, click.Group):
                walk(command, (*path, name))

    walk(farebox, ())
    return found


def test_every_process_of_the_procfile_is_a_command() -> None:
    lines = (_ROOT / "Procfile").read_text().splitlines()
    commands = {line.partition(":")[2].split()[1] for line in lines}
    assert commands == {"redis", "gateway", "worker", "caretaker"}
    assert commands < {path[0] for path in _all_commands()}
    tools = {line.partition(" worker ")[2] for line in lines if " worker " in line}
    assert tools == load_card(packaged_card_path()).tools.keys(), "what is sold is made"


def test_every_help_is_a_sentence_that_fits_the_terminal() -> None:
    runner = CliRunner()
    for path in [(), *_all_commands()]:
        answer = runner.invoke(farebox, [*path, "--help"], prog_name="farebox")
        assert answer.exit_code == 0, answer.output
        words = answer.output.split("\n\n")[1].strip()
        assert len(words.split()) >= 4, path
        assert all(len(line) <= 80 or str(docs_folder()) in line for line in answer.output.splitlines()), path


def test_every_list_of_commands_has_whole_sentences() -> None:
    for path in [(), *_all_commands()]:
        answer = CliRunner().invoke(farebox, [*path, "--help"], prog_name="farebox")
        assert "..." not in answer.output.partition("Commands:")[2], path


def test_help_says_where_the_pages_are_and_a_wheel_has_them_there() -> None:
    folder = CliRunner().invoke(farebox, ["--help"]).output.partition("Documentation:\n")[2].strip()
    assert folder == str(docs_folder())
    assert (Path(folder) / "settings.md").is_file()
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())
    carried = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert carried["docs"] == "gateway/manual/docs"


def test_a_wheel_reads_the_pages_that_it_carries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gateway" / "manual" / "docs").mkdir(parents=True)
    monkeypatch.setattr(documentation, "__file__", str(tmp_path / "gateway" / "cli" / "documentation.py"))
    assert docs_folder() == tmp_path / "gateway" / "manual" / "docs"


@pytest.mark.parametrize("path", [("up",), ("redis",), ("gateway",), ("pricing", "check"), ("worker",), ("caretaker",)])
def test_help_shows_an_example_on_a_line_of_its_own(path: tuple[str, ...]) -> None:
    said = CliRunner().invoke(farebox, [*path, "--help"], prog_name="farebox").output
    examples = said.partition("Example")[2].partition("Options:")[0].splitlines()[1:]
    examples = [line for line in examples if line.strip()]
    assert examples
    assert all(f"farebox {' '.join(path)}" in line for line in examples)


def test_a_wrong_setting_is_one_message_that_names_the_variable() -> None:
    """Started as a person would, not as a fork."""
    answer = subprocess.run(
        [sys.executable, "-m", "gateway", "redis"],
        env={**os.environ, "FAREBOX_PORT": "eighty"},
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 2
    assert answer.stderr.startswith("Error: FAREBOX_PORT: ")
    assert "Traceback" not in answer.stderr


def test_a_rate_card_with_a_hole_is_refused_with_every_fault(tmp_path: Path) -> None:
    card = tmp_path / "card.toml"
    text = (_ROOT / "pricing.toml").read_text()
    head, found, tail = text.partition("[[models.nano-banana-2.rates]]")
    assert found
    card.write_text(head + found + tail.replace("credits =", "credit =", 1))
    answer = forked("pricing", "check", str(card))
    assert answer.returncode == 2
    faults = answer.stderr.splitlines()
    assert len(faults) == 1, "once, not as a log line as well"
    assert faults[0].startswith(f"Error: {card}:")
    assert "nano-banana-2" in faults[0]
    assert answer.stdout == ""


def test_the_default_card_is_proved_and_printed() -> None:
    answer = forked("pricing", "check", COLUMNS="120")
    assert answer.returncode == 0, answer.stderr
    assert "each with exactly one price" in " ".join(answer.stdout.split())


def test_up_names_the_setting_when_the_port_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        answer = forked("up", FAREBOX_DATA=str(tmp_path), FAREBOX_PORT=str(port))
    assert answer.returncode == 2
    assert answer.stderr == (
        f"Error: FAREBOX_PORT: port {port} is in use by another program. Stop it, or choose another port: "
        f"FAREBOX_PORT={port + 1} farebox up\n"
    )


def test_a_worker_names_its_metrics_port_when_it_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        answer = forked("worker", "image", "--metrics-port", str(port), FAREBOX_DATA=str(tmp_path))
    assert answer.returncode == 2
    assert f"Error: --metrics-port {port}: cannot listen" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_up_in_a_folder_that_is_in_use_says_by_whom(tmp_path: Path) -> None:
    held = lock(tmp_path, "farebox up")
    answer = forked("up", FAREBOX_DATA=str(tmp_path), FAREBOX_PORT="0")
    os.close(held)
    assert answer.returncode == 2
    assert f"{tmp_path} is in use by farebox up (process {os.getpid()})" in answer.stderr
