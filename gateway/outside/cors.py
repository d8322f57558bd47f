"""Origins whose pages may call the API from a browser (`FAREBOX_CORS_ORIGINS`): exact ones, none by default."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]")


def parse_origins(text: str) -> frozenset[str]:
    """The origins in a comma-separated list, as browsers send them; ValueError for any that no browser would send."""
    return frozenset(_origin(entry.strip()) for entry in text.split(",")) if text.strip() else frozenset()


def _origin(entry: str) -> str:
    if "*" in entry:
        raise ValueError(f"{entry} is a wildcard: list each origin")
    parts = urlsplit(entry.lower())
    if parts.scheme not in _DEFAULT_PORTS or not parts.netloc:
        raise ValueError(f"{entry or 'an empty entry'} does not start with https:// or http:// and a host")
    if parts.path or parts.query or parts.fragment or "@" in parts.netloc or entry.endswith(("?", "#")):
        raise ValueError(f"{entry} must have only a scheme, a host and a port")
    port = parts.port  # ValueError where it is none
    host = parts.netloc.rpartition(":")[0] if port is not None else parts.netloc.removesuffix(":")
    if not _HOST.fullmatch(host):
        raise ValueError(f"{entry} has a host that browsers do not send: write international names as xn--…")
    shown = "" if port in {None, _DEFAULT_PORTS[parts.scheme]} else f":{port}"
    return f"{parts.scheme}://{host}{shown}"
