"""URLs in settings that cannot be read stop the start, by name, and are not repeated."""

from __future__ import annotations

import pytest

from gateway.errors import SettingsError
from gateway.settings import load_settings

WRONG = {
    "archive_url": ("postgresql://u:s3[cret@h/db", "postgresql://u:s3cret@h:port/db", "postgresql://u:s3#cret@h/db"),
    "events_url": ("https://u:s3[cret@h/x", "kafka://u:s3cret@h:1,h:port/topic"),
    "outputs_url": ("s3://key:s3[cret@bucket/x",),
    "public_url": ("http://[::1", "https://s3cret[", "https://h:port"),
    "oidc_issuer": ("https://[s3cret",),
}
RIGHT = {
    "archive_url": (
        "postgresql://u:p%5B@[::1]:5432/db",
        "postgres:///db?host=/run/postgresql",
        "postgres://h:1,h:2/db",
    ),
    "events_url": ("https://h:8443/x", "kafka://u:p@h:1,[::1]:2/topic"),
    "outputs_url": ("file:///outputs", "s3://bucket/prefix"),
    "public_url": ("https://media.example.com/farebox", "http://[::1]:80"),
}


@pytest.mark.parametrize(("name", "url"), [(name, url) for name, urls in WRONG.items() for url in urls])
def test_a_url_that_cannot_be_read_is_refused_by_name(name: str, url: str) -> None:
    """A bracket or a # in a password ended in a traceback, some of them only when a request needed the archive."""
    with pytest.raises(SettingsError, match=f"FAREBOX_{name.upper()}: is no URL that can be read") as refused:
        load_settings(**{name: url})
    assert "s3" not in str(refused.value)


@pytest.mark.parametrize(("name", "url"), [(name, url) for name, urls in RIGHT.items() for url in urls])
def test_others_are_taken_as_they_are(name: str, url: str) -> None:
    assert getattr(load_settings(**{name: url}), name) == url
