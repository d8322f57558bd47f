"""Logs: one line an event on standard error, for a person or as JSON, ours and the libraries' alike, in UTC.

Nobody logs keys, passwords or prompts. The last line of defence is here: fields of those names are left out, and what
looks like a secret is cut from every line, also from the text of an exception.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from gateway.settings import Settings

_LEFT_OUT = frozenset(
    {"admin_key", "api_key", "authorization", "cookie", "key", "password", "prompt", "secret", "stripe_key", "token"}
)

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


def configure_logs(settings: Settings, level: int = logging.INFO) -> None:
    """Send all logs of this process to standard error in the settings' format. Call it once, at start."""
    handler = logging.StreamHandler(sys.stderr)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        leave_out_secret_fields,
    ]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _renderer(settings.log_format),
                cut_secrets,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # a test may configure them anew
    )


def leave_out_secret_fields(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep the name of a field that must not be logged, so that the mistake shows, and drop its value."""
    for name in event.keys() & _LEFT_OUT:
        event[name] = "(left out)"
    return event


def cut_secrets(_logger: Any, _method: str, line: Any) -> str:
    """Cut from a finished line whatever looks like a secret."""
    return _SECRETS.sub(lambda match: f"{match[match.lastindex or 0]}…", line)


def _renderer(log_format: str) -> structlog.typing.Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=24)
