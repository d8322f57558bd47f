from __future__ import annotations

import contextlib
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import structlog

from gateway.logs import configure_logs, cut_secrets
from gateway.settings import Settings

_KEY = "fbx_dGhpcyBpcyBub3QgYSBrZXk"


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_our_lines_and_a_librarys_have_one_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(Settings(log_format="json"))
    structlog.get_logger("gateway.queue").info("dispatched", generation="gen_1", attempt=1)
    logging.getLogger("arq.worker").warning("%s is late by %d ms", "job", 3)
    ours, theirs = _lines(capsys)
    assert ours.pop("timestamp").endswith("Z")
    assert theirs.pop("timestamp").endswith("Z")
    assert ours == {"event": "dispatched", "level": "info", "generation": "gen_1", "attempt": 1}
    assert theirs == {"event": "job is late by 3 ms", "level": "warning"}


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_no_line_shows_a_key_or_a_prompt(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(Settings.model_validate({"log_format": log_format}))
    log = structlog.get_logger("gateway.api")
    log.info("asked", prompt="a fox in the snow", authorization=f"Bearer {_KEY}", note=f"with {_KEY}")
    logging.getLogger("aiohttp.access").info('GET /v1/outputs?expires=1&signature=c2lnbmVk "Bearer c2VjcmV0"')
    try:
        int(f"redis://:hunter2@cache refused {_KEY}")
    except ValueError:
        log.exception("failed")
    said = capsys.readouterr().err
    for secret in ("fox in the snow", _KEY, "c2lnbmVk", "c2VjcmV0", "hunter2"):
        assert secret not in said
    assert "ValueError" in said
    assert "expires=1" in said


@pytest.mark.parametrize(
    ("line", "cut"),
    [
        (f"key {_KEY}, next", "key fbx_…, next"),
        (f"token {_KEY.replace('fbx', 'fbt')}, next", "token fbt_…, next"),
        (
            "https://s3.example.com/o?X-Amz-Expires=3600&X-Amz-Security-Token=a%2Fb&X-Amz-Signature=c0ffee not found",
            "https://s3.example.com/o?X-Amz-Expires=3600&X-Amz-Security-Token=…&X-Amz-Signature=… not found",
        ),
        (
            "https://storage.googleapis.com/b/o?X-Goog-Signature=c0ffee",
            "https://storage.googleapis.com/b/o?X-Goog-Signature=…",
        ),
        ("sk_live_abcdefghij and whsec_abcdefghij", "sk_live_… and whsec_…"),
        ('{"authorization": "Bearer abc.def"}', '{"authorization": "Bearer …"}'),
        ("rediss://ann:p4ss@ledger:6379/0", "rediss://ann:…@ledger:6379/0"),
        ("rk_test_abcdefghij", "rk_test_…"),
        ("GET /v1/outputs/0?signature=abc.def HTTP/1.1", "GET /v1/outputs/0?signature=… HTTP/1.1"),
        ("expires=1&sig=abc.def and &token=a, ?key=b &quote=c", "expires=1&sig=… and &token=… ?key=… &quote=…"),
        ("BEARER abc FBX_ABCDEFGHIJ SK_LIVE_ABCDEFGHIJ", "BEARER … FBX_… SK_LIVE_…"),
        ("gen_00abc on redis://ledger:6379 at 10:00", "gen_00abc on redis://ledger:6379 at 10:00"),
    ],
)
def test_a_secret_is_cut_and_the_rest_stays(line: str, cut: str) -> None:
    assert cut_secrets(None, "info", line) == cut


def test_extra_fields_of_a_librarys_line_are_left_out_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(Settings(log_format="json"))
    logging.getLogger("vendor").warning("refused", extra={"api_key": "hunter2", "status": 401})
    (line,) = _lines(capsys)
    assert (line["api_key"], line["status"]) == ("(left out)", 401)


def test_lines_below_the_level_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(Settings(log_format="json", log_level="warning"))
    structlog.get_logger("gateway.queue").info("dispatched")
    structlog.get_logger("gateway.queue").log(logging.WARNING, "lost")
    logging.getLogger("arq").info("polling")
    assert [line["event"] for line in _lines(capsys)] == ["lost"]


def test_an_unwritable_log_line_fails_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full is a disk without room: whoever handles a request must not hear that its log line has none."""
    with Path("/dev/full").open("w", buffering=1) as full:
        monkeypatch.setattr("sys.stderr", full)
        configure_logs(Settings(log_format="json"))
        structlog.get_logger("gateway.requests").info("request", status=202)
        with contextlib.suppress(OSError):
            full.close()


def test_what_one_test_configures_no_logger_keeps_for_the_next() -> None:
    log = structlog.get_logger("gateway.api")
    configure_logs(Settings(log_format="json"))
    log.info("before")
    structlog.reset_defaults()
    with structlog.testing.capture_logs() as lines:
        log.info("after")
    assert [line["event"] for line in lines] == ["after"]
