"""Every text that a request may have, with what a terminal would obey: refused by name, or kept and never shown raw."""

from __future__ import annotations

import json
import logging
import re
from urllib.parse import quote

import pytest
import structlog
from click.testing import CliRunner

from gateway.api.middleware import envelope as middleware
from gateway.cli import farebox
from gateway.logs import configure_logs
from gateway.settings import Settings
from tests.api.request_fields import RequestField, request_fields
from tests.api.test_bounds import NAMES, exchange, request_bytes
from tests.api.test_odd_numbers import key_for
from tests.api.visitor import SKETCH, Visitor
from tests.cases import cases
from tests.lengths import some_of

# One of each kind, and the borders of the ranges.
ODD = [
    "\x00", "\x01", "\x07", "\x08", "\t", "\n", "\r", "\x1b[2J", "\x1f", "\x7f", "\x80", "\x85", "\x9b31m", "\x9f",
    "\u061c", "\u200e", "\u200f", "\u2028", "\u2029", "\u202a", "\u202e", "\u2066", "\u2069",
]  # fmt: skip
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
PROMPT = {"prompt"}
BY_THE_CARD = {"settings.x", "items.0.settings.x"}  # a value that the card does not list is refused in any case
TEXTS = [field for field in request_fields() if "string" in field.types and "format" not in field.schema]


def test_the_texts_are_found() -> None:
    names = {field.name for field in TEXTS}
    assert names >= {
        "tool", "model", "prompt", "settings.x", "inputs.0.url", "inputs.0.kind", "quote", "webhook_url", "label",
        "email", "reason", "description", "url", "bundle", "plan", "interval", "token", "key", "link", "before",
        "group_by", "bucket",
    }  # fmt: skip


@cases(["number", "field"], enumerate(field for field in TEXTS if field.name not in PROMPT | BY_THE_CARD))
async def test_a_text_with_a_control_or_direction_character_is_422_and_named(
    gateway: Visitor, owner: str, number: int, field: RequestField
) -> None:
    key = key_for(field, gateway, owner)
    path = field.path.format_map(NAMES)
    for odd in some_of(ODD, number):
        text = f"a{odd}b"
        if field.in_query and field.name in {"token", "signature"}:
            continue  # they open a page or a file by themselves; what was never given out opens none
        if field.path == "/checkout/{checkout}":
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            reply = await gateway.call("POST", path, None, raw=f"{field.name}={quote(text)}".encode(), headers=headers)
        elif field.in_query:
            reply = await gateway.call("GET", f"{path}?{field.name}={quote(text)}", key)
        else:
            reply = await gateway.call(field.method, path, key, field.body(text))
        assert (reply.status, reply.code) == (422, "invalid_request"), (odd, reply.raw)
        assert field.name in reply.fields, (odd, reply.raw)
        assert not RAW.search(reply.raw.decode())
    if not field.in_query and field.path != "/checkout/{checkout}":
        half = json.dumps(field.body("a\ud800b")).encode()
        reply = await gateway.call(field.method, path, key, raw=half)
        assert (reply.status, reply.code) == (400, "invalid_json")


async def test_a_prompt_and_metadata_are_kept_as_they_are(gateway: Visitor, key: str) -> None:
    text = "".join(ODD[1:])
    made = await gateway.made(key, prompt=text, metadata={text: [text, "\0"]})
    shown = (await gateway.call("GET", f"/v1/generations/{made}", key)).body
    assert (shown["prompt"], shown["metadata"]) == (text, {text: [text, "\0"]})
    refused = await gateway.create(key, prompt="a\0b")
    assert (refused.status, refused.fields) == (422, ["prompt"])


async def test_what_a_refusal_repeats_of_a_request_is_written_out(gateway: Visitor, key: str) -> None:
    """The name of a member that nobody knows, a setting's name and value, a path."""
    odd = "".join(ODD)
    for reply in [
        await gateway.call("POST", "/v1/quotes", key, {odd: 1}),
        await gateway.call("POST", "/v1/quotes", key, {f"{number}{odd}": 1 for number in range(30)}),
        await gateway.call("POST", "/v1/quotes", key, SKETCH | {"settings": {odd: odd}}),
        await gateway.call("POST", "/v1/quotes", key, SKETCH | {"settings": {"strength": odd}}),
        await gateway.call("GET", f"/v1/generations?{quote(odd)}=1", key),
        await gateway.call("GET", f"/v1/generations/{quote(odd)}", key),
        await gateway.call("GET", f"/nothing/{quote(odd)}"),
        await gateway.call("PUT", f"/v1/admin/accounts/{quote(odd)}", gateway.admin, {}),
    ]:
        assert 400 <= reply.status < 500
        assert not RAW.search(reply.message + "".join(reply.fields)), reply.raw


# --- logs -------------------------------------------------------------------------------------------------------------


def configure(log_format: str) -> None:
    """Logs as a process of ours has them."""
    configure_logs(Settings.model_validate({"log_format": log_format}))


def fail(text: str) -> None:
    raise ValueError(text)


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_no_log_line_has_a_character_raw_that_a_terminal_obeys(
    log_format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither in a field, nor in an event, nor in what a library or an exception says."""
    configure(log_format)
    odd = "".join(ODD) + "\ud800"
    forged = "\n2026-11-22T17:00:00Z [info     ] granted account=mallory"
    log = structlog.get_logger("gateway.test")
    log.info("asked", account=odd, listed=[odd], error=f"{odd}{forged}", fault=ValueError(odd))
    event = f"an event {odd}"
    log.warning(event)
    logging.getLogger("library").error("said %s", f"{odd}{forged}")
    try:
        fail(f"{odd}{forged}")
    except ValueError:
        log.exception("failed")
        logging.getLogger("library").exception("failed too")
    said = capsys.readouterr().err
    assert said.count("failed") == 2, "half a character ended the line, and with it the event"
    assert not RAW.search(said), [match.group() for match in RAW.finditer(said)]
    for line in said.splitlines():
        assert not line.startswith("2026-11-22T17:00:00Z"), "an event that nobody logged"
        if log_format == "json":
            assert json.loads(line)["level"]


@pytest.mark.parametrize("log_format", ["console", "json"])
async def test_what_a_client_sends_is_in_no_log_line_raw(
    gateway: Visitor, log_format: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(log_format)
    monkeypatch.setattr(middleware, "log", structlog.get_logger("gateway.requests"))  # which keeps its first output
    odd = quote("".join(ODD))
    for path in (f"/v1/admin/accounts/{odd}", f"/v1/generations/{odd}", f"/{odd}"):
        await gateway.call("GET", path, gateway.admin)
    await exchange(gateway, request_bytes("GET", "/healthz", None, b"", "X-Request-Id: \x1b[2J\x9b31m"))
    said = capsys.readouterr().err
    assert "route=" in said or '"route"' in said, log_format
    assert not RAW.search(said)


# --- the command line -------------------------------------------------------------------------------------------------


def test_the_command_line_writes_out_what_an_account_was_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Kept by a version before, when such texts were taken; brackets ended the command, for they are rich's markup."""
    odd = "".join(ODD) + "[bold]not bold[/] [/] [link=https://example.com]here[/link]"
    entry = {
        "id": 1, "at": "2026-11-22T17:00:00.000Z", "kind": "grant", "credits": 1, "held": 0, "available_after": 1,
        "held_after": 0, "reason": odd,
    }  # fmt: skip
    key = {"id": "key_a", "label": odd, "last_used_at": None}
    plan = {"id": "free", "status": "none", "interval": None, "paid_through": None, "scheduled": None}
    found = {
        "id": "acme", "email": odd, "test": False, "clock": {"now": "2026-11-22T17:00:00.000Z"}, "journal": [entry],
        "balance": {"available": 1, "held": 0, "grants": [], "plan": plan}, "in_work": {odd: 1}, "waiting": {},
        "alerts": {"thresholds": []}, "keys": [key], "factors": {},
    }  # fmt: skip
    monkeypatch.setattr("gateway.cli.account.ask_gateway", lambda _call: found)
    for arguments in (["account", "show", "acme"], ["account", "show", "acme", "--json"]):
        result = CliRunner().invoke(farebox, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        assert not RAW.search(result.output)
        assert "[bold]notbold[/][/][link=https://example.com]here[/link]" in "".join(result.output.split())
    assert json.loads(result.output)["email"] == odd
