"""Where a payment page may send its customer back to: the gateway's own pages, and the origins an operator allows.

Otherwise anyone with an account's key could create links of this gateway, or of its payment provider, that lead to
their own site (an open redirect). So URLs are parsed strictly: one that parsers could read differently (as a host, or
as a user or a path) is rejected before its origin is compared.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

URL_MAX = 2000
CHECKOUT = "checkout"
"""The query parameter added to return URLs: the checkout's id."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
# A name or an address, a port; then visible ASCII without a backslash. Python parses `a.example[::1]` as an address.
_HTTP_URL = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?(?:[/?#][!-\[\]-~]*)?")


def origin_of(url: str) -> str:
    """The origin of an `http:` or `https:` URL, as browsers write it; ValueError if parsers may disagree about it."""
    if not _HTTP_URL.fullmatch(url):
        raise ValueError("must be an https:// URL with a host, and without a user, spaces or backslashes")
    parsed = urlsplit(url)
    host, port = parsed.hostname, parsed.port
    if not host:
        raise ValueError("must have a host")
    name = f"[{host}]" if ":" in host else host
    return f"{parsed.scheme}://{name}" + (f":{port}" if port not in {None, _DEFAULT_PORTS[parsed.scheme]} else "")


@dataclass(frozen=True, slots=True)
class ReturnUrls:
    """Checks return URLs. `loopback`: any page on the customer's own machine is allowed, as in test mode."""

    origins: frozenset[str]
    loopback: bool = False

    def problem(self, url: str) -> str | None:
        """What is wrong with a return URL; None: nothing."""
        if len(url) > URL_MAX:
            return f"must have at most {URL_MAX:,} characters"
        try:
            origin = origin_of(url)
            sent = parse_qsl(urlsplit(url).query, keep_blank_values=True, max_num_fields=100)
        except ValueError as error:
            return (
                str(error) if str(error).startswith("must") else "must be a URL such as https://shop.example.com/paid"
            )
        if any(name == CHECKOUT for name, _ in sent):
            return f"must not have `{CHECKOUT}` in its query: the checkout's id is added there"
        if origin in self.origins or (self.loopback and _is_loopback(origin)):
            return None
        return f"must be on an allowed origin (FAREBOX_RETURN_ORIGINS); {origin} is not"


def with_checkout(url: str, checkout: str) -> str:
    """The URL with the checkout's id added to its query, otherwise unchanged."""
    rest, mark, fragment = url.partition("#")
    return f"{rest}{'&' if '?' in rest else '?'}{CHECKOUT}={checkout}{mark}{fragment}"


def _is_loopback(origin: str) -> bool:
    host = urlsplit(origin).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
