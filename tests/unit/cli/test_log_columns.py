from __future__ import annotations

import json

import pytest

from gateway.cli.log_columns import LogColumns


def test_lines_stand_behind_names_of_one_width(capsys: pytest.CaptureFixture[str]) -> None:
    columns = LogColumns(["farebox", "worker-image"], as_json=False)
    columns.show("farebox", "up")
    columns.show("worker-image", "ready")
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["farebox      │ up", "worker-image │ ready"]


def test_lines_held_back_come_after_in_their_order(capsys: pytest.CaptureFixture[str]) -> None:
    columns = LogColumns(["a", "b"], as_json=False)
    with columns.held():
        columns.show("a", "1")
        columns.show("b", "2")
        assert capsys.readouterr().out == ""
    columns.show("a", "3")
    assert capsys.readouterr().out.splitlines() == ["a │ 1", "b │ 2", "a │ 3"]


@pytest.mark.parametrize("as_json", [False, True])
def test_what_a_terminal_would_obey_is_written_out(capsys: pytest.CaptureFixture[str], *, as_json: bool) -> None:
    """A child's own log is made so already; that of Redis, and what a library writes past all logs, is not."""
    columns = LogColumns(["redis"], as_json=as_json)
    for line in ("\x1b[2J\r\u202eevil", '{"event": "\x9b31m\u2066"}'):
        columns.show("redis", line)
    columns.say("up\x1b]0;title\x07")
    said = capsys.readouterr().out
    assert all(character.isprintable() or character == "\n" for character in said), said
    assert "x1b" in said or "u001b" in said


def test_in_json_every_line_is_an_object_that_names_its_process(capsys: pytest.CaptureFixture[str]) -> None:
    columns = LogColumns(["redis", "gateway"], as_json=True)
    columns.show("gateway", '{"event": "served"}')
    columns.show("redis", "1:M * Ready")
    columns.say("Farebox is up")
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"process": "gateway", "event": "served"},
        {"process": "redis", "event": "1:M * Ready"},
        {"process": "farebox", "event": "Farebox is up"},
    ]
