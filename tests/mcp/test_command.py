"""`farebox mcp` says what it lacks before it serves anything."""

from __future__ import annotations

import sys

import pytest
from click.testing import CliRunner

from gateway.cli import farebox


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAREBOX_KEY", "fbx_some")
    monkeypatch.delitem(sys.modules, "gateway.mcp.server", raising=False)
    for module in [name for name in sys.modules if name.partition(".")[0] in {"mcp", "mcp_types"}]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "mcp_types", None)
    said = CliRunner().invoke(farebox, ["mcp"])
    assert said.exit_code == 1
    assert said.stderr == "Error: `farebox mcp` needs the `mcp` extra: pip install 'farebox[mcp]'\n"


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({}, "FAREBOX_KEY is not set"),
        ({"FAREBOX_KEY": "two\nlines"}, "FAREBOX_KEY: must be an API key"),
        ({"FAREBOX_KEY": "fbx_some", "FAREBOX_URL": "farebox.example.com"}, "FAREBOX_URL: must be the address"),
        ({"FAREBOX_KEY": "fbx_some", "FAREBOX_URL": "https://a:b@here"}, "FAREBOX_URL: must be the address"),
        ({"FAREBOX_KEY": "fbx_some", "FAREBOX_URL": "http://here:port"}, "FAREBOX_URL: must be the address"),
    ],
)
def test_a_setting_that_is_missing_or_wrong_is_named(
    variables: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FAREBOX_KEY", "FAREBOX_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    refused = CliRunner().invoke(farebox, ["mcp"]).exception
    assert refused is not None
    assert str(refused).startswith(named)
    assert variables.get("FAREBOX_KEY", "none") not in str(refused)
