"""Each transition is in the log: what happened to what, how it ended, and how long that took."""

from __future__ import annotations

import re
from pathlib import Path

import structlog

import gateway.ledger
from gateway.domain import FailureCode
from gateway.ledger.timed import NOT_TRANSITIONS, READ_ONLY, RequestLine
from tests.api.visitor import Visitor

SCRIPTS = Path(gateway.ledger.__file__).with_name("lua")


def test_every_writing_script_is_logged_except_a_short_list() -> None:
    heads = {path.stem: path.read_text() for path in SCRIPTS.glob("*.lua")}
    reads = {name for name, head in heads.items() if re.search(r"^-- Writes +nothing$", head, re.MULTILINE)}
    assert reads == READ_ONLY
    assert heads.keys() - reads >= NOT_TRANSITIONS


async def test_a_generations_life_is_logged_line_by_line(gateway: Visitor, key: str) -> None:
    with structlog.testing.capture_logs() as lines:
        done = await gateway.finished(key)
        failed = await gateway.made(key)
        await gateway.begin(failed)
        await gateway.settle(failed, FailureCode.MODERATED)
        await gateway.call("POST", f"/v1/generations/{failed}/cancel", key)
    told = [line for line in lines if line.get("transition", "dispatched") != "dispatched"]
    assert all(line["duration_ms"] > 0 for line in told)
    assert [line["transition"] for line in told if line["event"] == "request"] == ["reserve", "reserve", "cancel"]
    assert all(0 < line["ledger_ms"] <= line["duration_ms"] for line in told if line["event"] == "request")
    of = [(line["transition"], line["outcome"], line.get("attempt"), line["generation"]) for line in told]
    assert of == [
        ("reserve", "reserved", None, done),
        ("begin", "begun", 1, done),
        ("deliver", "noted", 1, done),
        ("settle", "ended", 1, done),
        ("reserve", "reserved", None, failed),
        ("begin", "begun", 1, failed),
        ("settle", "ended", 1, failed),
        ("cancel", "unchanged", None, failed),
    ]
    assert [line["account"] for line in told if line["transition"] == "reserve"] == ["acme", "acme"]


async def test_a_request_line_takes_one_transition_until_it_is_written() -> None:
    """Tasks that a request started go on in its context after its line: what they do has lines of its own."""
    line = RequestLine()
    assert line.takes("reserve", "reserved", 0.0021)
    assert not line.takes("cancel", "ended", 0.001)
    assert line.written() == {"transition": "reserve", "outcome": "reserved", "ledger_ms": 2.1}
    late = RequestLine()
    assert late.written() == {}
    assert not late.takes("cancel", "ended", 0.001)
