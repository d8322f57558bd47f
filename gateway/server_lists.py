"""URLs that may name several servers: `redis+cluster://a:1,[::1]:2`, `kafka://a:1,b:2/topic`."""

from __future__ import annotations

import re
from urllib.parse import SplitResult


def split_url(url: str) -> SplitResult:
    """The parts of a URL that may have several servers; all empty if it is none.

    Not urlsplit: newer versions of Python reject a list of servers with an IPv6 address in it.
    """
    parts = re.fullmatch(r"([a-z0-9+]*)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?", url)
    return SplitResult(*parts.groups("")) if parts else SplitResult("", "", "", "", "")
