"""docs/dependencies.md names exactly what pyproject.toml does, each with its purpose, licence and reason."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ROWS = [
    [cell.strip(" `") for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "dependencies.md").read_text().splitlines()
    if line.startswith("| `")
]


def _name(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9_.-]+", requirement)
    assert match, requirement
    return match[0].lower()


def test_the_page_names_every_dependency_and_no_other() -> None:
    run_time = {(_name(one), "") for one in PROJECT["dependencies"]}
    extras = {(_name(one), extra) for extra, named in PROJECT["optional-dependencies"].items() for one in named}
    columns = 4
    documented = {(row[0], "" if len(row) == columns else row[1]) for row in ROWS}
    assert documented == run_time | extras


def test_every_row_says_what_it_is_for_under_which_licence_and_why() -> None:
    assert all(cell for row in ROWS for cell in row)
