"""What is told on the queue's channels: every version reads it, and nothing that is odd gets past the reading."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.queue.messages import MESSAGE_BYTES_MAX, ChangeNotice, change_message, change_notices_in, check_requests_in
from tests.cases import cases

GENERATION = "gen_0b" + "a" * 24
NOTICES = [ChangeNotice("acme", GENERATION, 7), ChangeNotice("acme", ""), ChangeNotice("o.ther@example", GENERATION)]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_what_is_written_is_read() -> None:
    assert change_notices_in(json.dumps(change_message(NOTICES)).encode()) == (NOTICES, 0)


def test_a_message_of_before_there_were_versions_is_read() -> None:
    assert change_notices_in(json.dumps(NOTICES).encode()) == (NOTICES, 0)


def test_a_gateway_of_before_there_were_versions_reads_a_hint_about_nobody_and_then_the_others() -> None:
    """It does `ChangeNotice(*words)` for each, and dies of anything that is not a list of two or three."""
    told = [ChangeNotice(*words) for words in json.loads(json.dumps(change_message(NOTICES)))]
    assert told[1:] == NOTICES
    assert told[0].account == "*"


@cases(
    "message",
    [
        b"",
        b"\xff\xfe",
        b"[[",
        b"null",
        b"7",
        b"{}",
        b'{"v": 2, "hints": []}',
        b'[["*", "hints", 2], ["acme", "", 1]]',
        b'[["*", "hints"], ["acme", "", 1]]',
        b'[["*", "hints", "1"], ["acme", "", 1]]',
        b"[" * 100_000,
        b"[" * 30_000,
        b"[" + b" " * MESSAGE_BYTES_MAX + b"]",
    ],
)
def test_a_message_that_is_odd_as_a_whole_is_dropped_and_counted_once(message: bytes) -> None:
    assert change_notices_in(message) == ([], 1)


VERSIONS: list[Any] = ["1", True, 1.5, -1, 10**30, None, {}]
ODD: list[Any] = [
    *(None, 7, "acme", {}, [], ["acme"], ["acme", GENERATION, 1, 2], [None, GENERATION, 1], ["acme", None, 1]),
    *(["acme", GENERATION, version] for version in VERSIONS),
    *([account, GENERATION, 1] for account in ("", "ac me", "a" * 65, "acme\n", "\ud800")),
    *(["acme", generation, 1] for generation in (GENERATION + "\n", GENERATION.upper(), "gen_zz", "\x00")),
]


@cases("odd", ODD)
def test_an_invalid_notice_is_dropped_and_the_others_of_its_message_are_passed_on(odd: object) -> None:
    message = json.dumps([*change_message(NOTICES), odd]).encode()
    assert change_notices_in(message) == (NOTICES, 1)


@pytest.mark.parametrize("odd", [None, 7, {}, [], "gen_zz", GENERATION + "\n"], ids=repr)
def test_an_invalid_check_request_is_dropped(odd: object) -> None:
    assert check_requests_in(json.dumps([GENERATION, odd]).encode()) == ([GENERATION], 1)


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_message_breaks_the_reading(message: bytes) -> None:
    for read in (change_notices_in, check_requests_in):
        told, odd = read(message)
        assert odd >= 0
        assert not told or odd == 0 or isinstance(told[0], str | ChangeNotice)
