"""A function fits a screen, and a file has one subject: past these lengths it is time to ask what the second one is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("gateway", "workers", "tests", "chaos", "benchmarks")
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50


def sources() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.py"))
    yield from sorted((ROOT / "gateway").rglob("*.lua"))


def long_functions(path: Path) -> Iterator[str]:
    """From `def` to the last line; decorators are not counted, for a table of cases may be one."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name} has {lines} lines"


def test_no_file_is_too_long() -> None:
    found = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources()}
    assert len(found) > 500, "the folders are where they were"
    assert not {name: lines for name, lines in found.items() if lines > FILE_LINES_MAX}


def test_no_function_is_too_long() -> None:
    assert not [one for path in sources() if path.suffix == ".py" for one in long_functions(path)]
