"""docs/mcp.md names the tools and their arguments as they are, and every error of their own."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.mcp import price_list, refusals, tools
from gateway.mcp.arguments import WAIT_SECONDS_MAX
from gateway.mcp.tools import TOOLS

PAGE = (Path(__file__).parents[2] / "docs" / "mcp.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| `")]


def test_each_tool_is_named_with_its_arguments() -> None:
    told = {row[0].strip("`"): set(re.findall(r"`(\w+\??)`", row[1])) for row in ROWS}
    quote = told["quote"]
    for tool in TOOLS:
        fields = tool.takes.model_fields.items()
        taken = {name if field.is_required() else f"{name}?" for name, field in fields}
        added = told[tool.name] - {"quote"}
        assert (added if tool.name != "generate" else quote | added) == taken, tool.name


def test_each_code_and_limit_is_documented() -> None:
    sources = [Path(module.__file__ or "").read_text() for module in (refusals, price_list, tools)]
    own = {code for source in sources for code in re.findall(r'ToolRefused\(\s*"(\w+)"', source)}
    assert {"price_changed", "gateway_unreachable", "invalid_arguments", "rate_card_changed"} <= own
    assert [code for code in own - {"unknown_model"} if f"`{code}`" not in PAGE] == []
    for number in (WAIT_SECONDS_MAX, price_list.COMBINATIONS_PER_MODEL, price_list.COMBINATIONS_MAX):
        assert f"{number:,}" in PAGE
