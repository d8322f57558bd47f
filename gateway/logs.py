"""Logs: one line an event on standard error, for a person or as JSON, ours and the libraries' alike, in UTC.

Nobody logs keys, passwords or prompts. The last line of defence is here: fields of those names are left out, and what
looks like a secret is cut from every line, also from the text of an exception.

Our own lines do not pass through `logging`, which costs 100 µs each: a request has two of them. Those of libraries do.
As JSON, which is what a gateway under load writes, they are made in one step instead of structlog's chain of five.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
import textwrap
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any, TextIO

import structlog
from pydantic_core import PydanticSerializationError, to_json

from gateway.outside.visible import visible, visible_json, visible_lines
from gateway.settings import Settings

_LEFT_OUT = frozenset(
    {"admin_key", "api_key", "authorization", "cookie", "key", "password", "prompt", "secret", "stripe_key", "token"}
)

_OF_LINES = frozenset({"exception", "stack"})

# What is kept is group 1, so that a reader still sees what kind of secret it was.
_SECRETS = re.compile(
    r"""
    (fbx_)[A-Za-z0-9_-]{8,}                                     # our own keys
    | ((?:sk|rk)_(?:live|test)_|whsec_)[A-Za-z0-9]{8,}          # Stripe's
    | (\bBearer\s+)[^\s"',;]+                                   # any header
    | (\w://[^\s/:@]*:)[^\s/@]+(?=@)                            # the password in a URL
    | ([?&](?:signature|sig|token|key|quote)=)[^\s&"']+         # signed URLs
    """,
    re.VERBOSE | re.IGNORECASE,
)
# One of these is in every text that the expression finds; to look for them takes 1 µs, and the expression 50.
_MARKS = ("fbx_", "k_live_", "k_test_", "whsec_", "bearer", "://", "?", "&")


def configure_logs(settings: Settings) -> None:
    """Send all logs of this process to standard error in the settings' format. Call it once, at start."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        leave_out_secret_fields,
    ]
    rendering: list[structlog.typing.Processor] = [
        structlog.processors.format_exc_info,
        _write_out,
        _renderer(settings.log_format),
        cut_secrets,
    ]
    structlog.configure(
        processors=[_as_line] if settings.log_format == "json" else [*shared, *rendering],
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
    """Writes finished lines. One that cannot be written is lost: a full disk for logs must not fail a request."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def msg(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._file.write(f"{line}\n")
            self._file.flush()

    debug = info = warning = error = critical = exception = msg


def leave_out_secret_fields(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep the name of a field that must not be logged, so that the mistake shows, and drop its value."""
    if not _LEFT_OUT.isdisjoint(event):
        for name in event.keys() & _LEFT_OUT:
            event[name] = "(left out)"
    return event


def _write_out(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Write out what a terminal would obey, in all that goes into a line for a person.

    A traceback has lines of its own. They are set in: the text of an exception may be anybody's, and a line break in it
    must not begin what reads as another event.
    """
    for name, value in event.items():
        if name in _OF_LINES and isinstance(value, str):
            event[name] = textwrap.indent(visible_lines(value), "  ")
        elif isinstance(value, str):
            event[name] = visible(value)
    return event


def cut_secrets(_logger: Any, _method: str, line: Any) -> str:
    """Cut from a finished line whatever looks like a secret."""
    lowered = line.lower()
    for mark in _MARKS:
        if mark in lowered:
            return _SECRETS.sub(lambda match: f"{match[match.lastindex or 0]}…", line)
    return str(line)


def _renderer(log_format: str) -> structlog.typing.Processor:
    if log_format == "json":
        return _as_json
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=24)


def _as_line(logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
    """What the chain for a person does, as one line of JSON."""
    event["level"] = "error" if method == "exception" else method
    event["timestamp"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    leave_out_secret_fields(logger, method, event)
    if "exc_info" in event:
        structlog.processors.format_exc_info(logger, method, event)
    return cut_secrets(logger, method, _as_json(logger, method, event))


def _as_json(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    try:
        return visible_json(to_json(event, fallback=repr).decode())
    except PydanticSerializationError:  # half a character, in a name from a system that allows it
        return json.dumps(event, default=repr)
