"""Logs: one line per event on standard error, as text or JSON, from Farebox and its libraries alike, in UTC.

Keys, passwords and prompts are never logged. This module is the last line of defence: fields with those names are
dropped, and anything that looks like a secret is cut from every line, including exception texts.

Own lines bypass `logging`, which costs 100 µs per line. Lines of libraries go through it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
import textwrap
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog
from pydantic_core import PydanticSerializationError, to_jsonable_python

from gateway.json_text import to_json
from gateway.outside.visible import visible, visible_json, visible_lines
from gateway.settings import Settings

_LEFT_OUT = frozenset(
    {"admin_key", "api_key", "authorization", "cookie", "key", "password", "prompt", "secret", "stripe_key", "token"}
)

_OF_LINES = frozenset({"exception", "stack"})

# The last group that matched is kept: it shows what kind of secret was cut.
_SECRETS = re.compile(
    r"""
    (fb[xt]_)[A-Za-z0-9_-]{8,}                                  # our own keys, and client tokens
    | ((?:sk|rk)_(?:live|test)_|whsec_)[A-Za-z0-9]{8,}          # Stripe's
    | (\bBearer\s+)[^\s"',;]+                                   # any header
    | (\w://[^\s/:@]*:)[^\s/@]+(?=@)                            # the password in a URL
    | ([?&](?:x-(?:amz|goog)-)?(?:signature|security-token|sig|token|key|quote)=)[^\s&"']+  # signed URLs, also buckets'
    """,
    re.VERBOSE | re.IGNORECASE,
)
# Every match contains one of these. Searching for them takes 1 µs, the expression 50.
_MARKS = ("fbx_", "fbt_", "k_live_", "k_test_", "whsec_", "bearer", "://", "?", "&")


def configure_logs(settings: Settings) -> None:
    """Send all logs of this process to standard error, in the configured format. Call it once, at start."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        leave_out_secret_fields,
    ]
    rendering: list[structlog.typing.Processor] = [
        structlog.processors.format_exc_info,
        *_rendered(settings.log_format),
        cut_secrets,
    ]
    structlog.configure(
        processors=[*shared, *rendering],
        logger_factory=lambda *_: _Lines(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    foreign = logging.StreamHandler(sys.stderr)
    foreign.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(handlers=[foreign], level=level, force=True)


class _Lines:
    """Writes finished lines. A line that cannot be written is lost: a full log disk must not fail a request."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def msg(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._file.write(f"{line}\n")
            self._file.flush()

    debug = info = warning = error = critical = exception = msg


def leave_out_secret_fields(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop the value of a field that must not be logged; its name stays, so that the mistake shows."""
    if not _LEFT_OUT.isdisjoint(event):
        for name in event.keys() & _LEFT_OUT:
            event[name] = "(left out)"
    return event


def _write_out(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape terminal control characters in all values.

    Tracebacks keep their line breaks, but are indented: exception texts may come from clients, and a line break must
    not start what reads like another event.
    """
    for name, value in event.items():
        if name in _OF_LINES and isinstance(value, str):
            event[name] = textwrap.indent(visible_lines(value), "  ")
        elif isinstance(value, str):
            event[name] = visible(value)
    return event


def cut_secrets(_logger: Any, _method: str, line: Any) -> str:
    """Cut anything that looks like a secret from a finished line."""
    lowered = line.lower()
    for mark in _MARKS:
        if mark in lowered:
            return _SECRETS.sub(lambda match: f"{match[match.lastindex or 0]}…", line)
    return str(line)


def _rendered(log_format: str) -> list[structlog.typing.Processor]:
    if log_format == "json":
        return [_as_json]
    return [_write_out, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=24)]


def _as_json(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    try:
        return visible_json(to_json(event, default=_plain).decode())
    except PydanticSerializationError:  # a lone surrogate, for example in a file name
        return json.dumps(event, default=repr)


def _plain(value: Any) -> Any:
    """What JSON does not have: a path, a set, a decimal as pydantic writes them, else how Python shows it."""
    return to_jsonable_python(value, fallback=repr)
