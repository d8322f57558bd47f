"""URLs in settings: they start as they must, and can be read. No message repeats one, as it may have a password."""

from __future__ import annotations

from gateway.server_lists import split_url


def with_scheme(url: str, schemes: frozenset[str]) -> str:
    """The URL; ValueError if it starts with none of these schemes."""
    if url.partition("://")[0] not in schemes:
        msg = f"must start with one of {', '.join(sorted(f'{scheme}://' for scheme in schemes))}"
        raise ValueError(msg)
    return url


def readable(url: str) -> str:
    """The URL; ValueError if its servers cannot be told from the rest of it. There may be several, with commas."""
    login, _, servers = split_url(url).netloc.rpartition("@")
    if not set("[]") & set(login) and all(map(_is_server, servers.split(","))):
        return url
    msg = (
        "is no URL that can be read: a port must be a number, an IPv6 address be in brackets, and in a user name or a "
        "password [ ] / ? # @ and : be written as %5B %5D %2F %3F %23 %40 and %3A"
    )
    raise ValueError(msg)


def _is_server(text: str) -> bool:
    host, bracket, port = text.rpartition("]")
    if not bracket:
        host, _, port = text.partition(":")
        return "[" not in host and (not port or port.isdecimal())
    return host.startswith("[") and (not port or port.removeprefix(":").isdecimal())
